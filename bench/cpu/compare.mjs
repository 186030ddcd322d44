// Our engines and ONNX Runtime side by side on this machine: every measurement in a process of its own, alternating.
// Prints a table; writes results.json and results.svg into build/bench. See docs/performance.md for the method.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { chart } from './chart.mjs';
import { readTensorFile, writeTensorFile } from './tensor_file.mjs';

const usage = `usage: ./dev bench [--models A,B] [--threads 1,2] [--rounds N] [--seconds S] [--ort-only] [--out DIR]
  --models A,B    only these (names in bench/cpu/models.json); without it: all that are at hand
  --threads 1,2   thread counts to measure
  --rounds N      alternating rounds; a result is the median over rounds (5)
  --seconds S     time for one measurement of one side (1)
  --ort-only      measure ONNX Runtime alone
  --no-check      do not compare the outputs with ONNX Runtime's
  --out DIR       where models, engines and results go (build/bench)`;

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const root = path.resolve(here, '../..');
const shared = process.env.XINFER_SHARED ?? path.resolve(root, '../shared');
const options = parse(process.argv.slice(2));
const cli = path.join(options.bin, 'xinfer-cli');

// Everything is run without inherited thread settings, and its standard error is shown only when it fails.
function run(program, args) {
  return execFileSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] });
}

function parse(args) {
  const found = { models: null, threads: [1, 2], rounds: 5, seconds: 1, out: path.join(root, 'build/bench'), bin: path.join(root, 'build/release/bin'), check: true, ortOnly: false };
  const list = (text) => text.split(',').filter(Boolean);
  for (let i = 0; i < args.length; ++i) {
    const value = () => args[++i] ?? fail(`${args[i - 1]} needs a value`);
    if (args[i] === '--models') found.models = list(value());
    else if (args[i] === '--threads') found.threads = list(value()).map(Number);
    else if (args[i] === '--rounds') found.rounds = Number(value());
    else if (args[i] === '--seconds') found.seconds = Number(value());
    else if (args[i] === '--out') found.out = path.resolve(value());
    else if (args[i] === '--bin') found.bin = path.resolve(value());
    else if (args[i] === '--ort-only') found.ortOnly = true;
    else if (args[i] === '--no-check') found.check = false;
    else if (args[i] === '--help') { console.log(usage); process.exit(0); }
    else fail(`unknown option ${args[i]}`);
  }
  return found;
}

function fail(message) {
  console.error(`bench: ${message}\n${usage}`);
  process.exit(2);
}

// The model's file, or null and the reason why it is not here.
function locate(model) {
  if (model.generate) {
    const file = path.join(options.out, 'models', `${model.name}.onnx`);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    run(path.join(options.bin, 'make_model'), [model.generate, file]);
    return file;
  }
  const file = model.npm ? path.join(root, 'node_modules', model.npm) : path.join(shared, 'models', model.shared, 'model.onnx');
  return fs.existsSync(file) ? file : null;
}

// The same inputs for both sides: the model's own test data, or seeded noise in [-1, 1).
function prepareInputs(model, folder) {
  fs.mkdirSync(folder, { recursive: true });
  if (model.shared) {
    const data = path.join(shared, 'models', model.shared, 'test_data_set_0');
    return fs.readdirSync(data).filter((f) => f.startsWith('input_')).sort(byNumber).map((f) => path.join(data, f));
  }
  let state = 88172645;
  const random = () => {
    state ^= state << 13; state ^= state >>> 17; state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  return Object.entries(model.inputs).map(([name, dims], i) => {
    const count = dims.reduce((a, b) => a * b, 1);
    const range = model.integers?.[name];
    // A mask of ones: the usual case, and the one in which every token counts.
    const integer = () => BigInt(range === 2 ? Number(name.includes('mask')) : Math.floor(random() * range));
    const data = range ? BigInt64Array.from({ length: count }, integer) : Float32Array.from({ length: count }, () => random() * 2 - 1);
    const file = path.join(folder, `input_${i}.pb`);
    writeTensorFile(file, { name, type: range ? 'int64' : 'float32', dims, data });
    return file;
  });
}

function byNumber(a, b) {
  return Number(a.replace(/\D/g, '')) - Number(b.replace(/\D/g, ''));
}

function measureOrt(model, inputs, threads, seconds, outputs = null) {
  const job = { model, inputs, threads, seconds, outputs };
  return JSON.parse(run(process.execPath, [path.join(here, 'ort_worker.mjs'), JSON.stringify(job)]));
}

function measureOurs(engine, threads, seconds) {
  return JSON.parse(run(cli, ['benchmark', engine, '--threads', String(threads), '--seconds', String(seconds), '--json']));
}

// Compares our outputs with ONNX Runtime's, element by element, at the tolerance that the project promises.
function check(folder, atol) {
  try {
    run(cli, ['test-onnx', '--target', 'host', '--rtol', '1e-3', '--atol', String(atol), folder]);
    return 'equal';
  } catch (error) {
    return `DIFFERS: ${`${error.stdout}`.trim().split('\n')[0]}`;
  }
}

function build(model, file, inputs) {
  const engine = path.join(options.out, 'engines', `${model.name}.engine`);
  fs.mkdirSync(path.dirname(engine), { recursive: true });
  const shapes = Object.entries(model.shapes).flatMap(([name, dims]) => ['--shape', `${name}=${dims.join('x')}`]);
  const start = process.hrtime.bigint();
  run(cli, ['build', '--onnx', file, '--target', 'host', ...shapes, '-o', engine, '--json']);
  return { engine, build_s: Number(process.hrtime.bigint() - start) / 1e9 };
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

function compare(model, file) {
  const folder = path.join(options.out, 'cases', model.name, 'test_data_set_0');
  const inputs = prepareInputs(model, folder);
  const first = measureOrt(file, inputs, 1, 0.3, folder);
  const link = path.join(folder, '../model.onnx');
  fs.rmSync(link, { force: true });
  fs.symlinkSync(file, link);
  model.shapes = shapesOf(folder, first.names);
  const built = options.ortOnly ? null : build(model, file, inputs);
  const agreement = built && options.check ? check(path.dirname(folder), model.atol ?? 1e-4) : null;
  const rows = [];
  for (const threads of options.threads) {
    const ours = [], theirs = [];
    const sides = [() => built && ours.push(measureOurs(built.engine, threads, options.seconds)), () => theirs.push(measureOrt(file, inputs, threads, options.seconds))];
    for (let round = 0; round < options.rounds; ++round) {
      for (const side of round % 2 ? sides.reverse() : sides) side();
    }
    const ort = { median_ms: median(theirs.map((r) => r.median_ms)), min_ms: Math.min(...theirs.map((r) => r.min_ms)) };
    const row = { model: model.name, threads, ort_ms: ort.median_ms, ort_min_ms: ort.min_ms };
    if (built) {
      row.ours_ms = median(ours.map((r) => r.median_ms));
      row.ours_min_ms = Math.min(...ours.map((r) => r.min_ms));
      row.ratio = row.ort_ms / row.ours_ms;
      row.build_s = built.build_s;
      row.outputs = agreement;
    }
    rows.push(row);
    print(row);
  }
  return rows;
}

function shapesOf(folder, names) {
  return Object.fromEntries(names.map((name, i) => [name, dimsOf(path.join(folder, `input_${i}.pb`))]));
}

function dimsOf(file) {
  return readTensorFile(file).dims;
}

function print(row) {
  const number = (value, digits = 3) => (value === undefined ? '' : value.toFixed(digits)).padStart(10);
  console.log(`${row.model.padEnd(24)} ${String(row.threads).padStart(2)}T ${number(row.ours_ms)} ${number(row.ort_ms)} ${number(row.ratio, 2)} ${number(row.build_s, 1)}  ${row.outputs ?? ''}`);
}

const { models } = JSON.parse(fs.readFileSync(path.join(here, 'models.json'), 'utf8'));
for (const name of options.models ?? []) models.some((m) => m.name === name) || fail(`no model '${name}'; known: ${models.map((m) => m.name).join(' ')}`);
const chosen = models.filter((m) => (options.models ? options.models.includes(m.name) : !m.only_when_named));

console.log(`${os.cpus()[0].model}, ${os.cpus().length} cores; median ms of ${options.rounds} alternating rounds; ratio > 1: ours is faster`);
console.log(`${'model'.padEnd(24)}      ${'ours'.padStart(10)} ${'ORT'.padStart(10)} ${'ratio'.padStart(10)} ${'build s'.padStart(10)}  outputs`);
const results = [], absent = [], failed = [];
for (const model of chosen) {
  const file = locate(model);
  if (!file) {
    absent.push(model.name);
    continue;
  }
  try {
    results.push(...compare(model, file));
  } catch (error) {
    failed.push(model.name);
    const lines = `${error.stderr || error.message}`.trim().split('\n');
    console.log(`${model.name.padEnd(24)} FAILED: ${lines.find((line) => line.startsWith('xinfer-cli:')) ?? lines.at(-1)}`);
  }
}

const summary = {};
for (const threads of options.threads) {
  const ratios = results.filter((r) => r.threads === threads && r.ratio).map((r) => r.ratio);
  if (ratios.length) summary[`${threads}T`] = { geometric_mean: Math.exp(ratios.reduce((sum, r) => sum + Math.log(r), 0) / ratios.length), worst: Math.min(...ratios), models: ratios.length };
}
for (const [threads, s] of Object.entries(summary)) console.log(`${threads}: geometric mean ${s.geometric_mean.toFixed(3)}, worst ${s.worst.toFixed(2)}, ${s.models} models`);
if (absent.length) console.log(`not here (left out): ${absent.join(' ')}`);
const report = { machine: os.cpus()[0].model, cores: os.cpus().length, date: new Date().toISOString(), rounds: options.rounds, seconds: options.seconds, summary, results, absent, failed };
fs.writeFileSync(path.join(options.out, 'results.json'), `${JSON.stringify(report, null, 2)}\n`);
if (Object.keys(summary).length) fs.writeFileSync(path.join(options.out, 'results.svg'), chart(results, report.machine));
console.log(`written: ${path.relative(process.cwd(), options.out)}/results.json${Object.keys(summary).length ? ', results.svg' : ''}`);
process.exit(failed.length || results.some((r) => r.outputs?.startsWith('DIFFERS')) ? 1 : 0);
