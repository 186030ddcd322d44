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
  console.log('\nmodel, ms with 1 thread: measured, predicted, low, high, inside; with 2; build s; measured / predicted by a table fitted without the model');
  const inside = [0, 0, 0], ratios = { now: [], now2: [], held: [], held2: [], build: [] };
  for (const model of models) {
    const [one, two] = model.predicted, others = fit(models.filter((other) => other !== model));
    const held = model.ms / predict(model, others), held2 = model.ms2 / predict(model, others, 2);
    const good = [within(model.ms, one), two && within(model.ms2, two), within(model.build.measured, model.build)];
    good.forEach((yes, i) => (inside[i] += yes ? 1 : 0));
    ratios.now.push(model.ms / one.likely), ratios.held.push(held), ratios.held2.push(held2), ratios.build.push(model.build.measured / model.build.likely);
    if (two) ratios.now2.push(model.ms2 / two.likely);
    const text = (measured, interval, ok) => `${[measured, interval.likely, interval.low, interval.high].map((ms) => ms.toPrecision(3)).join(', ')}, ${ok ? 'yes' : 'NO'}`;
    console.log(`${model.name}: ${text(model.ms, one, good[0])}; ${two ? text(model.ms2, two, good[1]) : ''}; ${text(model.build.measured, model.build, good[2])}; ${held.toFixed(2)}, ${held2.toFixed(2)}`);
  }
  console.log(`\nof ${models.length} models measured within the interval: ${inside[0]} with 1 thread, ${inside[1]} with 2, ${inside[2]} builds`);
  console.log(`measured / predicted, 5 %, median, 95 %: 1 thread ${spread(ratios.now)}; 2 threads ${spread(ratios.now2)}; build ${spread(ratios.build)}; ` +
    `fitted without the model: 1 thread ${spread(ratios.held)}; 2 threads ${spread(ratios.held2)}`);
}
