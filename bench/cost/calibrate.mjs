// Holds preflight's predictions against measurements on this machine, and fits the cost model's table (src/compiler/cost_model.cpp).
// Every model at hand is looked at by preflight, built, and measured launch by launch; docs/preflight.md says what came out.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { report } from './fit.mjs';

const usage = `usage: node bench/cost/calibrate.mjs [--bin DIR] [--out DIR] [--seconds S] [--models A,B] [--steps build,measure,predict,fit] [--no-cache] [--no-verify] [--target T]
  --bin DIR      where xinfer-cli and make_model are (build/release/bin)
  --out DIR      where engines and measurements go (build/cost)
  --seconds S    time for one measurement (0.4)
  --models A,B   only these
  --steps LIST   build: engines, and how long that takes; measure: latencies, for which the machine must have nothing else to do;
                 predict: the same by preflight; fit: the table to what was measured, now or before (build,measure,predict,fit)
  --no-cache     every kernel is compiled in the build
  --no-verify    of the builds
  --under CMD    what runs everything: 'chrt -f 1' puts it ahead of whatever else the machine does
  --target T     what to build and predict for (host)`;

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const root = path.resolve(here, '../..');
const shared = process.env.XINFER_SHARED ?? path.resolve(root, '../shared');
const options = { bin: path.join(root, 'build/release/bin'), out: path.join(root, 'build/cost'), seconds: '0.4', models: null, steps: ['build', 'measure', 'predict', 'fit'], target: 'host', cache: true, verify: true, under: [] };
for (let args = process.argv.slice(2), i = 0; i < args.length; ++i) {
  if (args[i] === '--bin') options.bin = path.resolve(args[++i]);
  else if (args[i] === '--out') options.out = path.resolve(args[++i]);
  else if (args[i] === '--seconds') options.seconds = args[++i];
  else if (args[i] === '--models') options.models = args[++i].split(',');
  else if (args[i] === '--target') options.target = args[++i];
  else if (args[i] === '--steps') options.steps = args[++i].split(',');
  else if (args[i] === '--no-cache') options.cache = false;
  else if (args[i] === '--no-verify') options.verify = false;
  else if (args[i] === '--under') options.under = args[++i].split(' ');
  else { console.error(usage); process.exit(2); }
}
fs.mkdirSync(options.out, { recursive: true });
const file = path.join(options.out, 'measurements.json');

// Those of the benchmark, and every one of the shared folder; sizes that a model leaves open are those that preflight proposes.
function findModels() {
  const found = new Map();
  for (const model of JSON.parse(fs.readFileSync(path.join(root, 'bench/cpu/models.json'), 'utf8')).models) {
    if (model.only_when_named && !options.models?.includes(model.name)) continue;
    const shapes = Object.entries(model.inputs ?? {}).flatMap(([name, dims]) => ['--shape', `${name}=${dims.join('x')}`]);
    if (model.generate) found.set(model.name, { name: model.name, generate: model.generate, shapes });
    else if (model.npm) found.set(model.name, { name: model.name, file: path.join(root, 'node_modules', model.npm), shapes });
  }
  const index = path.join(shared, 'models/index.json');
  if (fs.existsSync(index))
    for (const model of JSON.parse(fs.readFileSync(index, 'utf8')).models) found.set(model.name, { name: model.name, file: path.join(shared, 'models', model.file), shapes: [] });
  return [...found.values()].filter((model) => model.generate || fs.existsSync(model.file)).filter((model) => !options.models || options.models.includes(model.name));
}

function cli(args) {
  const [program, ...rest] = [...options.under, path.join(options.bin, 'xinfer-cli'), ...args, '--json'];
  const run = spawnSync(program, rest, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (run.status !== 0) throw new Error(`xinfer-cli ${args[0]}: ${(run.stdout || run.stderr).slice(0, 400)}`);
  return JSON.parse(run.stdout);
}

const engine = (model) => path.join(options.out, `${model.name}.engine`);
const kernels = [...(options.cache ? ['--cache', path.join(options.out, 'cache')] : ['--no-cache']), ...(options.verify ? [] : ['--no-verify'])];

function build(model) {
  if (model.generate) {
    model.file = path.join(options.out, `${model.name}.onnx`);
    if (!fs.existsSync(model.file)) spawnSync(path.join(options.bin, 'make_model'), [model.generate, model.file]);
  }
  const open = cli(['preflight', model.file, ...model.shapes]).dynamic_inputs.flatMap((input) => input.option.split(' '));
  const shapes = [...model.shapes, ...open];
  const before = cli(['preflight', model.file, '--target', options.target, ...kernels, ...shapes]).targets[0];
  const built = cli(['build', '--onnx', model.file, '-o', engine(model), '--unsigned', '--target', options.target, ...kernels, ...shapes]);
  return {
    file: model.file, shapes, build: { ...before.build_seconds, measured: built.seconds }, stages: Object.fromEntries(built.stages.map((stage) => [stage.name, stage.milliseconds / 1e3])),
    compiled: before.kernels - before.kernels_cached, source: before.source_bytes, flops: before.flops, multiplyAdds: before.multiply_adds,
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
  for (const [step, run] of Object.entries({ build, measure, predict })) {
    if (!options.steps.includes(step)) continue;
    try {
      const all = { ...measured.get(model.name), ...model };
      if (step !== 'build') all.shapes = measured.get(model.name)?.shapes ?? model.shapes;
      measured.set(model.name, { ...all, ...run(all) });
      console.error(`${model.name}: ${step}`);
      fs.writeFileSync(file, JSON.stringify([...measured.values()]));
    } catch (error) {
      console.error(`${model.name}: left out: ${error.message}`);
      break;
    }
  }
if (options.steps.includes('fit')) report([...measured.values()].filter((model) => model.ms));
