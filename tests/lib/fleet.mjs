// Hubs and agents as processes, small models for them, and asking them over HTTP.
import { createHash } from 'node:crypto';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { sleep, until } from './servers.mjs';

const source = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..');
export const bin = path.join(process.env.XI_BINARY_DIR ?? path.join(source, 'build/release'), 'bin');
export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

// A model of one matrix product and two pointwise operators; its weights tell it from others.
export function makeModel(number, file) {
  const weights = Array.from({ length: 64 }, (_, i) => `float_data: ${(((i + 1) * number) % 11) - 5}`).join(' ');
  const shape = (n) => `type { tensor_type { elem_type: 1 shape { dim { dim_value: 4 } dim { dim_value: ${n} } } } }`;
  const text = `ir_version: 8 opset_import { domain: "" version: 17 } graph { name: "small${number}"
    node { op_type: "MatMul" input: "x" input: "w" output: "a" } node { op_type: "Relu" input: "a" output: "b" }
    node { op_type: "Softmax" input: "b" output: "y" } initializer { name: "w" data_type: 1 dims: 8 dims: 8 ${weights} }
    input { name: "x" ${shape(8)} } output { name: "y" ${shape(8)} } }`;
  fs.writeFileSync(file, execFileSync('protoc', ['--encode=xinfer.onnx.proto.ModelProto', '-I', path.join(source, 'src/onnx'), 'onnx.proto'], { input: text }));
  return fs.readFileSync(file);
}

// A program of ours that can be killed and started again.
export class Program {
  constructor(name, argv, log, env = {}) {
    Object.assign(this, { name, argv, log, env });
  }
  start() {
    const out = fs.openSync(this.log, 'a');
    this.child = spawn(this.argv[0], this.argv.slice(1), { env: { ...process.env, ...this.env }, stdio: ['ignore', out, out], detached: true });
    fs.closeSync(out);
  }
  async end(signal) {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((done) => child.once('exit', done));
    child.kill(signal);
    await gone;
  }
  alive() {
    return this.child && this.child.exitCode === null && this.child.signalCode === null;
  }
}

// What tests of several hubs share. `hubs`: programs with a url each.
export class Fleet {
  hubs = [];
  statuses = {}; // answers of 5xx or none, by status
  constructor(folder) {
    this.folder = folder;
  }

  // Asks one hub after the other until one gives an answer of `good`; others than 503 and broken connections are final.
  async call(method, where, token, body, good = [200, 201, 202, 204], options = {}) {
    for (let attempt = 0; ; ++attempt) {
      const hub = options.hub ?? this.hubs[attempt % 2];
      let answer = { status: 0 };
      try {
        const response = await fetch(hub.url + where, { method, body, headers: token ? { authorization: `Bearer ${token}` } : {}, signal: AbortSignal.timeout(20_000) });
        const bytes = Buffer.from(await response.arrayBuffer());
        answer = { status: response.status, bytes };
        if (/json/.test(response.headers.get('content-type') ?? '')) answer.json = JSON.parse(bytes.toString());
      } catch {
        // the hub is down, or was killed while it answered
      }
      if (answer.status >= 500 || answer.status === 0) this.statuses[answer.status] = (this.statuses[answer.status] ?? 0) + 1;
      if (good.includes(answer.status)) return answer;
      // 401: a token that the other hub has not heard of yet, its notice having been lost.
      const again = answer.status === 0 || answer.status === 401 || answer.status >= 500;
      if (!again || options.once) return answer;
      if (attempt > 600) throw new Error(`${method} ${where}: still ${answer.status} ${answer.bytes?.toString()}`);
      await sleep(250);
    }
  }

  async upload(token, bytes) {
    for (let attempt = 0; attempt < 200; ++attempt) {
      const made = await this.call('POST', '/v1/uploads', token, JSON.stringify({ size_bytes: bytes.length, sha256: sha256(bytes), name: 'test' }));
      if (made.json?.state === 'complete') return;
      if (made.status === 201) {
        await this.call('PUT', `/v1/uploads/${made.json.id}?offset=0`, token, bytes);
        if ((await this.call('POST', `/v1/uploads/${made.json.id}/complete`, token, '')).status === 200) return;
      }
      await sleep(200);
    }
    throw new Error('an upload never arrived');
  }

  answers(hub) {
    return until(async () => {
      if (!hub.alive()) hub.start(); // it could not reach its database
      return fetch(`${hub.url}/healthz`, { signal: AbortSignal.timeout(2000) }).then((r) => r.ok, () => false);
    }, 120, `${hub.name} does not answer`, hub.log);
  }

  query(sql) {
    return Promise.resolve(execFileSync('psql', ['-X', '-q', '-At', '-F', '\t', '-c', sql, this.database], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 30_000 }).split('\n').filter(Boolean).map((line) => line.split('\t')));
  }
}
