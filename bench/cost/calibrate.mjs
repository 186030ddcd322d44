// Holds preflight's predictions against measurements on this machine, and fits the cost model's table (src/compiler/cost_model.cpp).
// Every model at hand is looked at by preflight, built, and measured launch by launch; docs/preflight.md says what came out.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const usage = `usage: node bench/cost/calibrate.mjs [--bin DIR] [--out DIR] [--seconds S] [--models A,B] [--fit-only] [--target T]
  --bin DIR      where xinfer-cli and make_model are (build/release/bin)
  --out DIR      where engines and measurements go (build/cost)
  --seconds S    time for one measurement (0.5)
  --models A,B   only these
  --target T     what to build and predict for (host)
  --fit-only     fit what was measured before`;

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const root = path.resolve(here, '../..');
const shared = process.env.XINFER_SHARED ?? path.resolve(root, '../shared');
const options = { bin: path.join(root, 'build/release/bin'), out: path.join(root, 'build/cost'), seconds: '0.5', models: null, fitOnly: false, target: 'host' };
for (let args = process.argv.slice(2), i = 0; i < args.length; ++i) {
  if (args[i] === '--bin') options.bin = path.resolve(args[++i]);
  else if (args[i] === '--out') options.out = path.resolve(args[++i]);
  else if (args[i] === '--seconds') options.seconds = args[++i];
  else if (args[i] === '--models') options.models = args[++i].split(',');
  else if (args[i] === '--target') options.target = args[++i];
  else if (args[i] === '--fit-only') options.fitOnly = true;
  else { console.error(usage); process.exit(2); }
}
fs.mkdirSync(options.out, { recursive: true });
const measurements = path.join(options.out, 'measurements.json');

// --- models: those of the benchmark, and every one of the shared folder with fixed sizes.

function findModels() {
  const found = [];
  for (const model of JSON.parse(fs.readFileSync(path.join(root, 'bench/cpu/models.json'), 'utf8')).models) {
    if (model.only_when_named && !options.models?.includes(model.name)) continue;
    const shapes = Object.entries(model.inputs ?? {}).map(([name, dims]) => `${name}=${dims.join('x')}`);
    if (model.generate) found.push({ name: model.name, generate: model.generate, shapes });
    else if (model.npm) found.push({ name: model.name, file: path.join(root, 'node_modules', model.npm), shapes });
  }
  const index = path.join(shared, 'models/index.json');
  if (fs.existsSync(index))
    for (const model of JSON.parse(fs.readFileSync(index, 'utf8')).models) {
      const shapes = model.inputs.filter((input) => input.shape?.every(Number.isInteger) && input.shape.length).map((input) => `${input.name}=${input.shape.join('x')}`);
      found.push({ name: model.name, file: path.join(shared, 'models', model.file), shapes });
    }
  return found.filter((model) => model.generate || fs.existsSync(model.file)).filter((model) => !options.models || options.models.includes(model.name));
}

function cli(args) {
  const run = spawnSync(path.join(options.bin, 'xinfer-cli'), args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (run.status !== 0) throw new Error(`xinfer-cli ${args[0]}: ${(run.stdout || run.stderr).slice(0, 400)}`);
  return JSON.parse(run.stdout);
}

function measure(model) {
  let file = model.file;
  if (model.generate) {
    file = path.join(options.out, `${model.name}.onnx`);
    if (!fs.existsSync(file)) spawnSync(path.join(options.bin, 'make_model'), [model.generate, file]);
  }
  const engine = path.join(options.out, `${model.name}.engine`);
  const shapes = model.shapes.flatMap((shape) => ['--shape', shape]);
  const shared = ['--target', options.target, '--cache', path.join(options.out, 'cache'), ...shapes, '--json'];
  const before = cli(['preflight', file, ...shared]).targets[0];
  const built = cli(['build', '--onnx', file, '-o', engine, '--unsigned', ...shared]);
  // Right before the measurement, so that a busy machine is as busy in both.
  const preflight = cli(['preflight', file, ...shared, '--launches']).targets[0];
  const measured = cli(['benchmark', engine, '--allow-unsigned', '--threads', '1', '--seconds', options.seconds, '--per-layer', '--json']);
  const two = cli(['benchmark', engine, '--allow-unsigned', '--threads', '2', '--seconds', options.seconds, '--json']);
  const stages = Object.fromEntries(built.stages.map((stage) => [stage.name, stage.milliseconds / 1e3]));
  return {
    name: model.name, machine: preflight.machine, predicted: preflight.latency_ms, build: before.build_seconds, built: built.seconds, stages,
    compiled: before.kernels - before.kernels_cached, source: before.source_bytes, flops: preflight.flops, multiplyAdds: preflight.multiply_adds,
    ms: measured.median_ms, least: measured.min_ms, ms2: two.median_ms,
    launches: preflight.launch_list.map((launch, i) => ({ ...launch, us: measured.launches[i].min_us, median: measured.launches[i].median_us })),
  };
}

// --- the fit: a row per kind, such that launches are predicted well where the time goes.

const contraction = (kind) => /^(conv|matmul|recurrent|attention)/.test(kind);
const hidden = 0.7;
function seconds(launch, machine, row) {
  const arithmetic = contraction(launch.kind) ? (launch.flops / (machine.flops * row.arithmetic)) * 1e6 : ((launch.flops * row.arithmetic) / machine.frequency) * 1e6;
  return row.call + Math.max(arithmetic, launch.memory_us) + (1 - hidden) * Math.min(arithmetic, launch.memory_us);
}

function fit(models) {
  const kinds = {};
  for (const model of models) {
    const total = model.launches.reduce((sum, launch) => sum + launch.us, 0);
    for (const launch of model.launches) (kinds[launch.kind] ??= []).push({ launch, machine: model.machine, weight: launch.us / total });
  }
  const rows = {};
  for (const [kind, launches] of Object.entries(kinds)) {
    let best = { loss: Infinity };
    for (let arithmetic = 0.004; arithmetic < 12; arithmetic *= 1.06)
      for (const call of [0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2, 3]) {
        let loss = 0;
        for (const { launch, machine, weight } of launches) loss += weight * Math.abs(Math.log(seconds(launch, machine, { arithmetic, call }) / Math.max(launch.us, 0.02)));
        if (loss < best.loss) best = { arithmetic, call, loss };
      }
    rows[kind] = { ...best, launches: launches.length, share: launches.reduce((sum, one) => sum + one.weight, 0) / models.length };
  }
  return rows;
}

const predict = (model, rows) => model.launches.reduce((sum, launch) => sum + seconds(launch, model.machine, rows[launch.kind] ?? { arithmetic: contraction(launch.kind) ? 0.3 : 0.5, call: 0.3 }), 0) / 1e3;
const quantile = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(part * (sorted.length - 1))))];

let models = fs.existsSync(measurements) ? JSON.parse(fs.readFileSync(measurements, 'utf8')) : [];
if (!options.fitOnly)
  for (const model of findModels()) {
    try {
      const one = measure(model);
      models = [...models.filter((old) => old.name !== model.name), one];
      console.error(`${one.name}: predicted ${one.predicted[0].likely.toFixed(3)} ms, measured ${one.ms.toFixed(3)}`);
      fs.writeFileSync(measurements, JSON.stringify(models));
    } catch (error) {
      console.error(`${model.name}: left out: ${error.message}`);
    }
  }

const rows = fit(models);
console.log('kind, arithmetic, call us, launches, share of time %, mean |log error|');
for (const [kind, row] of Object.entries(rows)) console.log(`${kind}, ${row.arithmetic.toFixed(3)}, ${row.call}, ${row.launches}, ${(100 * row.share).toFixed(1)}, ${(row.loss / (row.share * models.length)).toFixed(2)}`);

// As the program says now; and with a table fitted without the model that is predicted.
let inside = 0, inside2 = 0, inBuild = 0;
const held = [], current = [], current2 = [], builds = [];
console.log('\nmodel, measured ms (least), predicted, low, high, in; held out: measured/predicted; 2 threads: measured, low, high; build s: measured, low, high');
for (const model of models) {
  const [one, two] = model.predicted, other = predict(model, fit(models.filter((m) => m !== model)));
  const ok = model.ms >= one.low && model.ms <= one.high, ok2 = two && model.ms2 >= two.low && model.ms2 <= two.high, okBuild = model.built >= model.build.low && model.built <= model.build.high;
  inside += ok, inside2 += ok2, inBuild += okBuild;
  held.push(model.ms / other);
  current.push(model.ms / one.likely);
  if (two) current2.push(model.ms2 / two.likely);
  builds.push(model.built / model.build.likely);
  console.log(`${model.name}, ${model.ms.toFixed(3)} (${model.least.toFixed(3)}), ${one.likely.toFixed(3)}, ${one.low.toFixed(3)}, ${one.high.toFixed(3)}, ${ok ? 'yes' : 'NO'}; ${(model.ms / other).toFixed(2)}; ` +
    `${model.ms2.toFixed(3)}, ${two?.low.toFixed(3)}, ${two?.high.toFixed(3)}; ${model.built.toFixed(1)}, ${model.build.low.toFixed(1)}, ${model.build.high.toFixed(1)}`);
}
const spread = (list) => { const sorted = [...list].sort((a, b) => a - b); return [0.05, 0.5, 0.95].map((part) => quantile(sorted, part).toFixed(2)).join(' '); };
console.log(`\n${models.length} models: measured within the interval ${inside} (1 thread), ${inside2} (2 threads), ${inBuild} (build)`);
console.log(`measured/predicted, 5 %, median, 95 %: now ${spread(current)}; fitted without the model ${spread(held)}; 2 threads ${spread(current2)}; build ${spread(builds)}`);
