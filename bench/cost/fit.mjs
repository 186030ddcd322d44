// Fits the table of src/compiler/cost_model.cpp to measured launches, and says how well it predicts models that it was not fitted to.

// The formulas of src/compiler/cost_model.cpp, in microseconds.
const contraction = (kind) => /^(conv|matmul|recurrent|attention)/.test(kind);
const scalar = (kind) => !contraction(kind) && /gathering|short rows|strides|irregular|^pool$/.test(kind);
const coreFlops = (machine) => machine.core_flops ?? 32;
const flopsPerCycle = (machine) => machine.flops / machine.frequency;

function bandwidth(machine, bytes) {
  if (bytes <= machine.level2_bytes) return machine.level2_bandwidth;
  const near = machine.level2_bytes / bytes;
  if (bytes <= machine.level3_bytes) return 1 / (near / machine.level2_bandwidth + (1 - near) / machine.level3_bandwidth);
  const middle = machine.level3_bytes / bytes;
  return 1 / (middle / machine.level3_bandwidth + (1 - middle) / machine.memory_bandwidth);
}

function arithmetic(launch, machine, factor) {
  if (launch.cycles > 0) return (launch.cycles / machine.frequency) * Math.sqrt(coreFlops(machine) / flopsPerCycle(machine)) * globals.tiles * factor * 1e6;
  if (contraction(launch.kind)) return ((launch.flops * factor) / machine.flops) * 1e6;
  return ((launch.flops * factor) / machine.frequency / (scalar(launch.kind) ? 1 : Math.sqrt(flopsPerCycle(machine) / 64))) * 1e6;
}
const memory = (launch, model) => (launch.weight_bytes / bandwidth(model.machine, model.planBytes) + launch.value_bytes / bandwidth(model.machine, 2 * launch.value_bytes)) * 1e6;

export const globals = { hidden: 0.7, tiles: 0.73, operation: 1.2, barrier: 2, efficiency: 1.08 };

export function microseconds(launch, model, row, threads = 1) {
  const workers = Math.max(1, Math.min(launch.tasks, threads)), share = Math.ceil(launch.tasks / workers) / launch.tasks;
  const work = (arithmetic(launch, model.machine, row.factor) + (launch.operations * globals.operation * 1e6) / model.machine.frequency) * share * (workers > 1 ? globals.efficiency : 1);
  const bytes = memory(launch, model) * (workers > 1 ? Math.max(share, 0.5) : 1);
  return row.call + (workers > 1 ? globals.barrier : 0) + Math.max(work, bytes) + (1 - globals.hidden) * Math.min(work, bytes);
}

const fallback = { factor: 1, call: 0.2 };
export const predict = (model, rows, threads = 1) => model.launches.reduce((sum, launch) => sum + microseconds(launch, model, rows[launch.kind] ?? fallback, threads), 0) / 1e3;

// A row per kind, such that launches are predicted well where their models' time goes.
export function fit(models) {
  const kinds = {};
  for (const model of models) {
    const total = model.launches.reduce((sum, launch) => sum + launch.us, 0);
    for (const launch of model.launches) (kinds[launch.kind] ??= []).push({ launch, model, weight: launch.us / total });
  }
  const rows = {};
  for (const [kind, launches] of Object.entries(kinds)) {
    let best = { loss: Infinity };
    for (let factor = 0.005; factor < 40; factor *= 1.08)
      for (const call of [0.02, 0.05, 0.1, 0.2, 0.4, 0.8]) {
        let loss = 0;
        for (const { launch, model, weight } of launches) loss += weight * Math.abs(Math.log(microseconds(launch, model, { factor, call }) / Math.max(launch.us, 0.02)));
        if (loss < best.loss) best = { factor, call, loss };
      }
    const share = launches.reduce((sum, one) => sum + one.weight, 0);
    rows[kind] = { ...best, launches: launches.length, models: new Set(launches.map((one) => one.model.name)).size, share: share / models.length, error: best.loss / share };
  }
  return rows;
}

const part = (values, p) => [...values].sort((a, b) => a - b)[Math.round(p * (values.length - 1))];
const spread = (values) => [0.05, 0.5, 0.95].map((p) => part(values, p).toFixed(2)).join(' ');
const within = (value, interval) => value >= interval.low && value <= interval.high;

export function report(models) {
  const rows = fit(models);
  console.log('kind, factor, call us, launches, models, share of time %, mean |log error|');
  for (const [kind, row] of Object.entries(rows))
    console.log(`${kind}, ${row.factor.toFixed(3)}, ${row.call}, ${row.launches}, ${row.models}, ${(100 * row.share).toFixed(1)}, ${row.error.toFixed(2)}`);
  console.log('\nmodel, ms with 1 thread: measured, predicted, low, high, inside; with 2; measured / predicted by a table fitted without the model, inside');
  const inside = [0, 0, 0, 0], ratios = { now: [], now2: [], held: [], held2: [] };
  for (const model of models) {
    const [one, two] = model.predicted, others = fit(models.filter((other) => other !== model));
    const held = model.ms / predict(model, others), held2 = model.ms2 / predict(model, others, 2);
    // Held out, with the widths that the interval has now.
    const near = (ratio, interval) => ratio >= interval.low / interval.likely && ratio <= interval.high / interval.likely;
    const good = [within(model.ms, one), two && within(model.ms2, two), near(held, one), two && near(held2, two)];
    good.forEach((yes, i) => (inside[i] += yes ? 1 : 0));
    ratios.now.push(model.ms / one.likely), ratios.held.push(held), ratios.held2.push(held2);
    if (two) ratios.now2.push(model.ms2 / two.likely);
    const text = (measured, interval, ok) => `${[measured, interval.likely, interval.low, interval.high].map((ms) => ms.toPrecision(3)).join(', ')}, ${ok ? 'yes' : 'NO'}`;
    console.log(`${model.name}: ${text(model.ms, one, good[0])}; ${two ? text(model.ms2, two, good[1]) : ''}; ${held.toFixed(2)}${good[2] ? '' : ' NO'}, ${held2.toFixed(2)}${good[3] ? '' : ' NO'}`);
  }
  console.log(`\nof ${models.length} models measured within the interval: ${inside[0]} with 1 thread, ${inside[1]} with 2; by a table fitted without them: ${inside[2]} and ${inside[3]}`);
  console.log(`measured / predicted, 5 %, median, 95 %: 1 thread ${spread(ratios.now)}; 2 threads ${spread(ratios.now2)}; ` +
    `fitted without the model: 1 thread ${spread(ratios.held)}; 2 threads ${spread(ratios.held2)}`);
}

// ---- Builds

const median = (values) => part(values, 0.5);
const sum = (values) => values.reduce((a, b) => a + b, 0);
// Least squares of log(measured / predicted) over each number in turn, by golden steps: few numbers, few models.
function descend(numbers, loss) {
  let best = loss(numbers);
  for (let round = 0; round < 40; ++round)
    for (const name of Object.keys(numbers))
      for (const factor of [0.5, 0.8, 0.95, 1.05, 1.25, 2]) {
        const tried = { ...numbers, [name]: numbers[name] * factor }, now = loss(tried);
        if (now < best) (best = now), (numbers = tried);
      }
  return numbers;
}

// src/compiler/cost_model.cpp, predict_build: seconds of each stage.
const jobs = 2;
const compileOf = (table, kernel) => (table.kinds[kernel.kind] ?? table.other) + (table.tableKilobyte * kernel.table_bytes) / 1024;
const verifyOf = (table, model) => (2 * model.products) / table.products + (model.flops - 2 * model.products) / table.others;
function buildSeconds(table, model) {
  const compile = model.kernels.map((kernel) => compileOf(table, kernel));
  return model.prepare + table.fixed + Math.max(...compile, sum(compile) / jobs) + model.weights / table.engineBytes + verifyOf(table, model);
}

function fitBuilds(models) {
  const kinds = {}, tables = [];
  for (const model of models)
    for (const kernel of model.kernels) {
      if (kernel.table_bytes > 100e3) tables.push(kernel);
      else (kinds[kernel.kind] ??= []).push(kernel.seconds);
    }
  const table = { kinds: {}, other: median(models.flatMap((model) => model.kernels.map((kernel) => kernel.seconds))), counts: {} };
  for (const [kind, seconds] of Object.entries(kinds)) (table.kinds[kind] = sum(seconds) / seconds.length), (table.counts[kind] = seconds.length);
  const left = sum(tables.map((kernel) => Math.max(0, kernel.seconds - (table.kinds[kernel.kind] ?? table.other))));
  table.tableKilobyte = tables.length ? left / sum(tables.map((kernel) => kernel.table_bytes / 1024)) : 0;
  const square = (ratio) => Math.log(ratio) ** 2;
  return descend({ ...table, fixed: 0.1, engineBytes: 85e6, products: 6e9, others: 1e9 }, (tried) => sum(models.map((model) => square(buildSeconds(tried, model) / model.measured))));
}

export function reportBuilds(models) {
  const table = fitBuilds(models);
  console.log('kind, seconds per kernel, kernels');
  for (const [kind, seconds] of Object.entries(table.kinds)) console.log(`${kind}, ${seconds.toFixed(3)}, ${table.counts[kind]}`);
  console.log(Object.entries(table).filter(([, value]) => typeof value === 'number').map(([name, value]) => `${name} ${value.toPrecision(3)}`).join(', '));
  console.log('\nmodel: build s measured, predicted, low, high, inside; by a table fitted without it / measured; stages measured');
  let inside = 0, heldInside = 0;
  const now = [], held = [];
  for (const model of models) {
    const ratio = model.measured / buildSeconds(fitBuilds(models.filter((other) => other !== model)), model), { low, likely, high } = model.predicted;
    const good = within(model.measured, model.predicted), near = ratio >= low / likely && ratio <= high / likely;
    inside += good, heldInside += near, now.push(model.measured / likely), held.push(ratio);
    console.log(`${model.name}: ${[model.measured, likely, low, high].map((s) => s.toPrecision(3)).join(', ')}, ${good ? 'yes' : 'NO'}; ${ratio.toFixed(2)}${near ? '' : ' NO'}; ` +
      Object.entries(model.stages).map(([name, seconds]) => `${name} ${seconds.toFixed(2)}`).join(', '));
  }
  console.log(`\nof ${models.length} builds within the interval: ${inside}; by a table fitted without them: ${heldInside}`);
  console.log(`measured / predicted, 5 %, median, 95 %: ${spread(now)}; fitted without the model: ${spread(held)}`);
}
