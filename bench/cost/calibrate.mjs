// Holds preflight's predictions against measurements on this machine, and fits the cost model's table (src/compiler/cost_model.cpp).
// Every model at hand is looked at by preflight, built, and measured launch by launch; docs/preflight.md says what came out.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { report, reportBuilds } from './fit.mjs';

const usage = `usage: node bench/cost/calibrate.mjs [--bin DIR] [--out DIR] [--seconds S] [--models A,B] [--steps build,measure,predict,fit] [--builds] [--target T]
  --bin DIR      where xinfer-cli and make_model are (build/release/bin)
  --out DIR      where engines and measurements go (build/cost)
  --seconds S    time for one measurement (0.4)
  --models A,B   only these
  --steps LIST   build: engines; measure: latencies, for which the machine must have nothing else to do; predict: the same by
                 preflight; fit: the table to what was measured, now or before (build,measure,predict,fit)
  --builds       how long builds without a cache take instead, with every kernel's compilation: two steps, builds,fit
  --under CMD    what runs everything: 'chrt -f 1' puts it ahead of whatever else the machine does
  --target T     what to build and predict for (host)`;

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const root = path.resolve(here, '../..');
const shared = process.env.XINFER_SHARED ?? path.resolve(root, '../shared');
const options = { bin: path.join(root, 'build/release/bin'), out: path.join(root, 'build/cost'), seconds: '0.4', models: null, steps: ['build', 'measure', 'predict', 'fit'], target: 'host', under: [] };
for (let args = process.argv.slice(2), i = 0; i < args.length; ++i) {
  if (args[i] === '--bin') options.bin = path.resolve(args[++i]);
  else if (args[i] === '--out') options.out = path.resolve(args[++i]);
  else if (args[i] === '--seconds') options.seconds = args[++i];
  else if (args[i] === '--models') options.models = args[++i].split(',');
  else if (args[i] === '--target') options.target = args[++i];
  else if (args[i] === '--steps') options.steps = args[++i].split(',');
  else if (args[i] === '--builds') options.builds = true;
  else if (args[i] === '--under') options.under = args[++i].split(' ');
  else { console.error(usage); process.exit(2); }
}
fs.mkdirSync(options.out, { recursive: true });
if (options.builds) options.steps = options.steps.includes('measure') ? ['builds', 'fit'] : options.steps;
const file = path.join(options.out, options.builds ? 'builds.json' : 'measurements.json');

// Those of the benchmark, and every one of the shared folder; sizes that a model leaves open are those that preflight proposes.
function findModels() {
  const found = new Map();
  for (const model of JSON.parse(fs.readFileSync(path.join(root, 'bench/cpu/models.json'), 'utf8')).models) {
    if (model.only_when_named && !options.models?.includes(model.name)) continue;
    const shapes = Object.entries(model.inputs ?? {}).flatMap(([name, dims]) => ['--shape', `${name}=${dims.join('x')}`]);
    if (model.generate) found.set(model.name, { name: model.name, generate: model.generate, shapes });
    else if (model.npm) found.set(model.name, { name: model.name, file: path.join(root, 'node_modules', model.npm), shapes });
  }
  found.set('forest', { name: 'forest', generate: 'forest', shapes: [] });
  const index = path.join(shared, 'models/index.json');
  if (fs.existsSync(index))
    for (const model of JSON.parse(fs.readFileSync(index, 'utf8')).models) found.set(model.name, { name: model.name, file: path.join(shared, 'models', model.file), shapes: [] });
  return [...found.values()].filter((model) => model.generate || fs.existsSync(model.file)).filter((model) => !options.models || options.models.includes(model.name));
}

function cli(args, environment = {}) {
  const [program, ...rest] = [...options.under, path.join(options.bin, 'xinfer-cli'), ...args, '--json'];
  const run = spawnSync(program, rest, { encoding: 'utf8', maxBuffer: 1 << 28, env: { ...process.env, ...environment } });
  if (run.status !== 0) throw new Error(`xinfer-cli ${args[0]}: ${(run.stdout || run.stderr).slice(0, 400)}`);
  return JSON.parse(run.stdout);
}

const engine = (model) => path.join(options.out, `${model.name}.engine`);

// The model's file, and sizes for what it leaves open.
function locate(model) {
  if (model.generate) {
    model.file = path.join(options.out, `${model.name}.onnx`);
    if (!fs.existsSync(model.file)) spawnSync(path.join(options.bin, 'make_model'), [model.generate, model.file]);
  }
  const open = cli(['preflight', model.file, ...model.shapes]).dynamic_inputs.flatMap((input) => input.option.split(' '));
  return { file: model.file, shapes: [...model.shapes, ...open] };
}

function build(model) {
  const { file, shapes } = locate(model);
  cli(['build', '--onnx', file, '-o', engine(model), '--unsigned', '--no-verify', '--target', options.target, '--cache', path.join(options.out, 'cache'), ...shapes]);
  return { file, shapes };
}

// A compiler in front of the compiler, that notes how long each kernel takes.
function stopwatch() {
  const folder = path.join(options.out, 'stopwatch'), log = path.join(folder, 'log');
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'clang++-19'), `#!/bin/bash
real=$(PATH=\${PATH#*:} command -v clang++-19)
[[ " $* " == *" -c "* ]] || exec "$real" "$@"
source=$(mktemp) && cat >"$source" && begin=$EPOCHREALTIME
"$real" "$@" <"$source"; status=$?
echo "$(head -n 1 "$source" | cut -d' ' -f3) $begin $EPOCHREALTIME" >>${log}
rm "$source"; exit $status
`, { mode: 0o755 });
  fs.rmSync(log, { force: true });
  return { environment: { PATH: `${folder}:${process.env.PATH}` }, read: () => Object.fromEntries(fs.readFileSync(log, 'utf8').trim().split('\n').map((line) => line.split(' ')).map(([symbol, begin, end]) => [symbol, end - begin])) };
}

function builds(model) {
  const { file, shapes } = locate(model), watch = stopwatch();
  const before = cli(['preflight', file, '--target', options.target, '--no-cache', ...shapes, '--launches']).targets[0];
  const built = cli(['build', '--onnx', file, '-o', engine(model), '--unsigned', '--target', options.target, '--no-cache', ...shapes], watch.environment);
  const seconds = watch.read();
  return {
    file, shapes, predicted: before.build_seconds, measured: built.seconds, stages: Object.fromEntries(built.stages.map((stage) => [stage.name, stage.milliseconds / 1e3])),
    kernels: before.kernel_list.map((kernel) => ({ ...kernel, seconds: seconds[kernel.symbol] })), prepare: before.prepare_seconds, launches: before.launches,
    flops: before.verified_flops, products: before.verified_multiply_adds, bytes: before.bytes_moved, weights: before.weight_bytes,
  };
}

function predict({ file, shapes, launches }) {
  const preflight = cli(['preflight', file, '--target', options.target, '--no-cache', ...shapes, '--launches']).targets[0];
  return {
    machine: preflight.machine, predicted: preflight.latency_ms, planBytes: preflight.weight_bytes + preflight.arena_bytes,
    launches: preflight.launch_list.map((launch, i) => ({ ...launches[i], ...launch })),
  };
}

function measure(model) {
  const timed = (threads) => cli(['benchmark', engine(model), '--allow-unsigned', '--threads', String(threads), '--seconds', options.seconds, '--per-layer']);
  const one = timed(1), two = timed(2);
  return {
    ms: one.median_ms, least: one.min_ms, ms2: two.median_ms, least2: two.min_ms,
    launches: one.launches.map((launch, i) => ({ us: launch.median_us, least: launch.min_us, us2: two.launches[i].median_us })),
  };
}

const measured = new Map((fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : []).map((model) => [model.name, model]));
for (const model of findModels())
  for (const [step, run] of Object.entries({ build, builds, measure, predict })) {
    if (!options.steps.includes(step)) continue;
    try {
      const all = { ...measured.get(model.name), ...model };
      if (!step.startsWith('build')) all.shapes = measured.get(model.name)?.shapes ?? model.shapes;
      measured.set(model.name, { ...all, ...run(all) });
      console.error(`${model.name}: ${step}`);
      fs.writeFileSync(file, JSON.stringify([...measured.values()]));
    } catch (error) {
      console.error(`${model.name}: left out: ${error.message}`);
      break;
    }
  }
if (options.steps.includes('fit') && options.builds) reportBuilds([...measured.values()].filter((model) => model.measured));
else if (options.steps.includes('fit')) report([...measured.values()].filter((model) => model.ms));
