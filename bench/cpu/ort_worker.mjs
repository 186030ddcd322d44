// Runs one model on ONNX Runtime in a process of its own: two spinning thread pools in one process would ruin each other.
// usage: node ort_worker.mjs '{"model": F, "inputs": [F.pb...], "threads": N, "seconds": S, "outputs": DIR or null}'
// Prints {"names", "iterations", "median_ms", "min_ms"}; with "outputs", writes input_K.pb and output_K.pb in the model's own order and names.
import path from 'node:path';
import { readTensorFile, writeTensorFile } from './tensor_file.mjs';
import ort from 'onnxruntime-node';

const job = JSON.parse(process.argv[2]);
const session = await ort.InferenceSession.create(job.model, {
  executionProviders: ['cpu'],
  intraOpNumThreads: job.threads,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
  logSeverityLevel: 3,
});

const files = job.inputs.map(readTensorFile);
const feeds = {};
session.inputNames.forEach((name, i) => {
  const file = files.find((f) => f.name === name) ?? files[i];
  feeds[name] = new ort.Tensor(file.type, file.data, file.dims);
});

const results = await session.run(feeds);
if (job.outputs) {
  session.inputNames.forEach((name, i) => writeTensorFile(path.join(job.outputs, `input_${i}.pb`), { name, ...view(feeds[name]) }));
  session.outputNames.forEach((name, i) => writeTensorFile(path.join(job.outputs, `output_${i}.pb`), { name, ...view(results[name]) }));
}

const now = () => Number(process.hrtime.bigint()) / 1e6;
for (let i = 0; i < 3; ++i) await session.run(feeds);
const times = [];
const end = now() + job.seconds * 1000;
while (times.length < 5 || (now() < end && times.length < 5000)) {
  const start = now();
  await session.run(feeds);
  times.push(now() - start);
}
times.sort((a, b) => a - b);
console.log(JSON.stringify({
  names: session.inputNames,
  iterations: times.length,
  median_ms: times[Math.floor(times.length / 2)],
  min_ms: times[0],
}));

function view(tensor) {
  return { type: tensor.type, dims: tensor.dims, data: tensor.data };
}
