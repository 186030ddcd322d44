// usage: node farm.mjs SEED…: two hubs and four agents on PostgreSQL, RabbitMQ and S3, while things go wrong as the seed
// says. Afterwards every accepted build must have succeeded with one whole, signed engine, every preflight with its report, and
// nothing may be left behind. One engine, which is none, waits to be verified on a device: its build must say that it was not.
import { execFile, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Fleet, Program, bin, makeModel, sha256 } from '../lib/fleet.mjs';
import { Ceph, Postgresql, Proxy, Rabbitmq, freePort, sleep, until } from '../lib/servers.mjs';

const long = process.env.XI_FAULT_SEEDS !== undefined;
const faultSeconds = Number(process.env.XI_FAULT_SECONDS ?? (long ? 60 : 25));
const requests = long ? 30 : 14;
const models = 7;
const settleSeconds = 300;
// No agent here builds for it; where the machine runs it, agents verify engines for it.
const unverified = /\bavx512f\b/.test(fs.readFileSync('/proc/cpuinfo', 'utf8')) ? 'x86-64-v4' : 'armv8-a';
const exec = promisify(execFile); // what talks through the proxies must not block this process, which is the proxies
const faketime = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';

// mulberry32: the same seed plans the same faults.
function generator(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { next, below: (n) => Math.floor(next() * n), pick: (list) => list[Math.floor(next() * list.length)] };
}

class Farm extends Fleet {
  constructor(folder, servers, seed) {
    super(folder);
    Object.assign(this, { servers, seed, counts: {}, violations: [] });
    this.random = generator(seed);
    this.mounts = [];
  }
  violation(text) {
    this.violations.push(text);
    console.log(`VIOLATION: ${text}`);
  }

  async start() {
    const { postgresql, rabbitmq, ceph } = this.servers;
    const database = `seed${this.seed}_${Date.now()}`;
    await postgresql.query(`CREATE DATABASE ${database}`);
    this.database = postgresql.url.replace(/postgres$/, database);
    this.proxies = {};
    const proxy = async (name, port) => {
      this.proxies[name] = new Proxy(port);
      await this.proxies[name].start();
      return this.proxies[name].port;
    };
    fs.writeFileSync(path.join(this.folder, 's3'), `${ceph.accessKey}\n${ceph.secretKey}\n`, { mode: 0o600 });
    this.hubs = [];
    for (const i of [0, 1]) {
      const data = path.join(this.folder, `hub${i}`);
      fs.mkdirSync(data);
      // A disk that can be filled.
      if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', data]).status === 0) this.mounts.push(data);
      const port = await freePort();
      const s3 = `http://127.0.0.1:${await proxy(`s3-${i}`, ceph.port)}`;
      const config = path.join(this.folder, `hub${i}.yaml`);
      fs.writeFileSync(config, `listen: 127.0.0.1:${port}
database: {url: "${this.database.replace(/:\d+\//, `:${await proxy(`postgresql-${i}`, postgresql.port)}/`)}"}
store: {url: "s3://seed${this.seed}-${Date.now()}/objects", s3_endpoint: "${s3}", s3_credentials: ${path.join(this.folder, 's3')}, timeout_ms: 5000, attempts: 3}
queue: {url: "amqp://guest:guest@127.0.0.1:${await proxy(`rabbitmq-${i}`, rabbitmq.port)}/", poll_ms: 1000, repeat_ms: 5000}
keys: {signing: ${path.join(this.folder, 'keys/engines.ed25519')}}
agents: {local: 0}
farm: {lease_ms: 4000, reap_ms: 300, attempts: 50, verify_targets: [${unverified}]}
http: {worker_threads: 16}
metrics: {public: true}
`);
      if (i === 1) fs.writeFileSync(config, fs.readFileSync(config, 'utf8').replace(/s3:\/\/[^"]*/, this.bucket));
      this.bucket = /s3:\/\/[^"]*/.exec(fs.readFileSync(config, 'utf8'))[0];
      const hub = new Program(`hub${i}`, [path.join(bin, 'ignition-hub'), 'serve', '--data', data, '--config', config], path.join(this.folder, `hub${i}.log`));
      Object.assign(hub, { url: `http://127.0.0.1:${port}`, data, config });
      hub.entry = `http://127.0.0.1:${await proxy(`hub-${i}`, port)}`;
      this.hubs.push(hub);
      hub.start();
      await this.answers(hub);
    }
    this.administrator = /ih_administrator_[0-9a-f]+/.exec(fs.readFileSync(this.hubs[0].log, 'utf8'))[0];
    const token = async (role, organisation) => (await this.call('POST', '/v1/tokens', this.administrator, JSON.stringify({ role, organisation, name: 'fault test' }), [201])).json.token;
    this.organisations = [];
    for (const name of ['red', 'green', 'blue']) this.organisations.push({ name, token: await token('developer', name) });
    this.agentToken = await token('agent', '');
    fs.writeFileSync(path.join(this.folder, 'agent.token'), this.agentToken, { mode: 0o600 });
    this.startAgents();
  }

  startAgents() {
    const sandbox = spawnSync('bwrap', ['--unshare-all', '--ro-bind', '/', '/', 'true']).status === 0 ? 'on' : 'off';
    this.clock = path.join(this.folder, 'clock');
    fs.writeFileSync(this.clock, '+0\n');
    this.agents = [0, 1, 2, 3].map((i) => {
      const hub = i % 2;
      const argv = [path.join(bin, 'ignition-agent'), '--hub', this.hubs[hub].entry, '--token-file', path.join(this.folder, 'agent.token'), '--name', `agent-${i}`,
        '--targets', 'x86-64-v3', '--work', path.join(this.folder, `agent${i}`), '--jobs', '1', '--sandbox', sandbox];
      if (i >= 2) argv.push('--queue', `amqp://guest:guest@127.0.0.1:${this.proxies[`rabbitmq-${hub}`].port}/`);
      const env = i === 3 && fs.existsSync(faketime) ? { LD_PRELOAD: faketime, FAKETIME_TIMESTAMP_FILE: this.clock, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' } : {};
      const agent = new Program(`agent${i}`, argv, path.join(this.folder, `agent${i}.log`), env);
      agent.start();
      return agent;
    });
  }

  async request(organisation, model, target) {
    await this.upload(organisation.token, model.bytes);
    const answer = await this.call('POST', '/v1/builds', organisation.token, JSON.stringify({ onnx: model.digest, target }));
    if (![200, 201, 202].includes(answer.status)) throw new Error(`a build was refused: ${answer.status} ${answer.bytes}`);
    this.accepted.push({ organisation, model, target, id: answer.json.id, path: `/v1/builds/${answer.json.id}` });
  }

  async askBefore(organisation, model, targets) {
    await this.upload(organisation.token, model.bytes);
    const answer = await this.call('POST', '/v1/preflights', organisation.token, JSON.stringify({ onnx: model.digest, targets }));
    if (answer.status !== 202) throw new Error(`a preflight was refused: ${answer.status} ${answer.bytes}`);
    this.accepted.push({ organisation, model, preflight: true, id: answer.json.id, path: `/v1/preflights/${answer.json.id}` });
  }

  // ---- What goes wrong.

  faults() {
    const { random, servers } = this;
    const brief = (low, high) => (low + random.next() * (high - low)) * 1000;
    const anyProxy = () => random.pick(Object.values(this.proxies));
    const restart = async (program, pause) => {
      await program.end('SIGKILL');
      await sleep(pause);
      program.start();
    };
    const all = {
      'kill agent': [6, () => restart(random.pick(this.agents), brief(0, 1))],
      'kill hub': [3, async () => { const hub = random.pick(this.hubs); await restart(hub, brief(0, 2)); await this.answers(hub); }],
      'kill PostgreSQL': [2, async () => { await servers.postgresql.kill(); await sleep(brief(0, 2)); await servers.postgresql.start(); }],
      'kill RabbitMQ': [1, async () => { await servers.rabbitmq.kill(); await sleep(brief(0, 1)); await servers.rabbitmq.start(); }],
      'cut connections': [4, async () => anyProxy().cut()],
      'no connections': [3, async () => { const proxy = anyProxy(); const pause = brief(0.5, 4); proxy.open = false; proxy.cut(); await sleep(pause); proxy.open = true; }],
      'slow connections': [3, async () => { const proxy = anyProxy(); proxy.delayMs = 20 + random.below(200); await sleep(brief(1, 4)); proxy.delayMs = 0; }],
      'slow S3': [2, async () => { const pause = brief(2, 6); for (const i of [0, 1]) this.proxies[`s3-${i}`].delayMs = 700; await sleep(pause); for (const i of [0, 1]) this.proxies[`s3-${i}`].delayMs = 0; }],
      'clock jump': [2, async () => fs.writeFileSync(this.clock, `${random.pick(['+', '-'])}${60 + random.below(100_000)}\n`)],
      'full disk': [this.mounts.length ? 2 : 0, async () => { const file = path.join(random.pick(this.mounts), 'filler'); const pause = brief(1, 3); spawnSync('dd', ['if=/dev/zero', `of=${file}`, 'bs=1M']); await sleep(pause); fs.rmSync(file, { force: true }); }],
    };
    return Object.entries(all).flatMap(([name, [weight, act]]) => Array(weight).fill([name, act]));
  }

  async makeTrouble() {
    const faults = this.faults();
    const end = Date.now() + faultSeconds * 1000;
    // Each kind at least once, in an order of the seed's; then whatever comes.
    const first = [...new Map(faults).keys()].map((name) => [this.random.next(), name]).sort().map(([, name]) => [name, new Map(faults).get(name)]);
    while (Date.now() < end || first.length) {
      const [name, act] = first.shift() ?? this.random.pick(faults);
      this.counts[name] = (this.counts[name] ?? 0) + 1;
      await act();
      await sleep(this.random.next() * 1200);
    }
  }

  // An agent that falls silent with a job, and reports a result when the job is no longer its own.
  async completeStale() {
    for (let leased = 0; leased < 2 && !this.healed;) {
      const lease = await this.call('POST', '/v1/agents/lease', this.agentToken, JSON.stringify({ agent: 'silent', targets: ['x86-64-v3'], kinds: ['build', 'preflight'], wait_ms: 1000 }), [200, 204], { once: true });
      if (lease.status !== 200) { await sleep(300); continue; }
      ++leased;
      const { job, token } = lease.json;
      const engine = Buffer.from(`not an engine ${job} ${token}`);
      await this.upload(this.agentToken, engine);
      await until(async () => {
        try {
          return (await this.query(`SELECT lease_token FROM jobs WHERE id = '${job}'`))[0][0] !== token;
        } catch {
          return false; // the database is down
        }
      }, settleSeconds, 'a silent agent keeps its lease');
      const answer = await this.call('POST', `/v1/agents/jobs/${job}/complete`, this.agentToken, JSON.stringify({ token, engine: sha256(engine), report: {} }));
      if (answer.status !== 409) this.violation(`a stale completion was answered with ${answer.status}`);
      this.counts['stale completion'] = (this.counts['stale completion'] ?? 0) + 1;
    }
  }

  // An agent whose completion arrives several times, once with another result.
  async completeTwice() {
    const [organisation] = this.organisations, [model] = this.models;
    await this.request(organisation, model, unverified);
    const build = this.accepted.at(-1);
    build.engine = sha256('the first result');
    await this.upload(this.agentToken, Buffer.from('the first result'));
    await this.upload(this.agentToken, Buffer.from('the second result'));
    for (let done = false; !done;) {
      const lease = await this.call('POST', '/v1/agents/lease', this.agentToken, JSON.stringify({ agent: 'stutterer', targets: [unverified], kinds: ['build'], wait_ms: 1000 }), [200, 204], { once: true });
      if (lease.status === 200) {
        const complete = (engine) => this.call('POST', `/v1/agents/jobs/${lease.json.job}/complete`, this.agentToken, JSON.stringify({ token: lease.json.token, engine, report: { verification: { ran: false, reason: 'not verified on device' } } }), [204], { once: true });
        const answers = await Promise.all([1, 2, 3].map(() => complete(build.engine)));
        if (answers.filter((answer) => answer.status === 204).length > 1) this.violation('a job was completed twice');
        if (answers.some((answer) => answer.status === 204)) {
          const other = await complete(sha256('the second result'));
          if (other.status === 204) this.violation('a completed job took another result');
          this.counts['duplicate completion'] = (this.counts['duplicate completion'] ?? 0) + 1;
        }
      }
      await sleep(300);
      done = (await this.call('GET', build.path, organisation.token)).json.state === 'succeeded';
    }
  }

  async run() {
    this.accepted = [];
    this.models = Array.from({ length: models }, (_, i) => {
      const bytes = makeModel(this.seed * models + i + 1, path.join(this.folder, `${i}.onnx`));
      return { bytes, digest: sha256(bytes) };
    });
    const plan = Array.from({ length: requests }, () => ({ organisation: this.random.pick(this.organisations), model: this.random.pick(this.models), at: this.random.next() * faultSeconds * 700 }));
    const asked = plan.map(async ({ organisation, model, at }, i) => {
      await sleep(at);
      if (i % 4 === 3) await this.askBefore(organisation, model, ['x86-64-v3', 'h100:fp16']);
      else await this.request(organisation, model, 'x86-64-v3');
    });
    const rogues = [this.completeStale(), this.completeTwice()];
    await this.makeTrouble();
    this.healed = true;
    for (const proxy of Object.values(this.proxies)) Object.assign(proxy, { open: true, delayMs: 0 });
    for (const hub of this.hubs) await this.answers(hub);
    for (const agent of this.agents) if (!agent.alive()) agent.start();
    await Promise.all([...asked, ...rogues]);
    await this.waitForAll();
    await this.check();
  }

  async waitForAll() {
    await until(async () => {
      for (const build of this.accepted) {
        if (build.state === 'succeeded') continue;
        const answer = await this.call('GET', build.path, build.organisation.token, undefined, [200, 404]);
        if (answer.status === 404) { this.violation(`${build.id}, which was accepted, is gone`); build.state = 'succeeded'; continue; }
        Object.assign(build, { state: answer.json.state, answer: answer.json });
        if (!['succeeded', 'failed', 'cancelled'].includes(build.state)) return false;
      }
      // Verifications have no requests of their own. One that nobody could do would wait for ever.
      const left = await this.query("SELECT kind, target FROM jobs WHERE state IN ('queued', 'leased')");
      return left.every(([kind, target]) => kind === 'verify' && target === 'armv8-a');
    }, settleSeconds, 'builds have not ended');
  }

  async check() {
    const env = { ...process.env, XDG_CONFIG_HOME: path.join(this.folder, 'config'), XINFER_HUB: this.hubs[0].url, XINFER_TOKEN: this.organisations[0].token };
    await exec(path.join(bin, 'xinfer-cli'), ['hub', 'trust', '--yes'], { env, timeout: 60_000 });
    const engineOf = {};
    for (const [i, build] of this.accepted.entries()) {
      if (build.state !== 'succeeded') { this.violation(`build ${build.id} of ${build.organisation.name} is ${build.state}: ${JSON.stringify(build.answer?.error)}`); continue; }
      if (build.preflight) {
        if (build.answer.result?.supported !== true) this.violation(`preflight ${build.id} found ${JSON.stringify(build.answer.result)}`);
        continue;
      }
      const { digest } = build.answer.engine;
      if (build.target === unverified && !/^not verified on device: /.test((await this.call('GET', build.path, build.organisation.token)).json.report.verification.reason))
        this.violation(`build ${build.id} does not say that its engine was not verified`);
      if (build.engine && digest !== build.engine) this.violation(`build ${build.id} has the engine of another completion`);
      const fetched = await this.call('GET', `/v1/engines/${digest}`, build.organisation.token, undefined, [200], { hub: this.hubs[i % 2] });
      if (sha256(fetched.bytes) !== digest) this.violation(`engine ${digest} arrives with other bytes`);
      if (build.target !== 'x86-64-v3') continue;
      const known = (engineOf[build.model.digest] ??= digest);
      if (known !== digest) this.violation(`model ${build.model.digest} has two engines`);
      const file = path.join(this.folder, `${digest}.engine`);
      if (fs.existsSync(file)) continue;
      fs.writeFileSync(file, fetched.bytes);
      const inspected = spawnSync(path.join(bin, 'xinfer-cli'), ['inspect', file], { env, encoding: 'utf8' });
      if (inspected.status !== 0) this.violation(`engine ${digest} is refused: ${inspected.stderr}`);
    }
    const one = async (sql) => Number((await this.query(sql))[0][0]);
    this.jobs = await one('SELECT COUNT(*) FROM jobs');
    this.attempts = await one('SELECT SUM(attempts) FROM jobs');
    if (await one("SELECT COUNT(*) FROM jobs WHERE (state IN ('queued', 'leased') AND NOT (kind = 'verify' AND target = 'armv8-a')) OR lease_token <> '' OR lease_expires_ms <> 0")) this.violation('a lease or a waiting job is left');
    if (await one("SELECT COUNT(*) FROM (SELECT build_key, organisation FROM jobs WHERE kind = 'build' AND state = 'succeeded' GROUP BY 1, 2 HAVING COUNT(*) > 1) x")) this.violation('a request was built twice');
    if (await one("SELECT COUNT(*) FROM (SELECT job FROM events WHERE kind = 'state' AND body IN ('succeeded', 'failed', 'cancelled') GROUP BY 1 HAVING COUNT(*) <> 1) x")) this.violation('a job ended more than once');
    const builds = await one("SELECT COUNT(*) FROM jobs WHERE kind = 'build'");
    const expected = new Set(this.accepted.filter((build) => !build.preflight).map((build) => `${build.organisation.name} ${build.model.digest} ${build.target}`)).size;
    if (builds !== expected) this.violation(`${builds} jobs for ${expected} different requests`);
    for (const hub of this.hubs) {
      const refused = fs.readFileSync(hub.log, 'utf8').split('\n').filter((line) => /error database/.test(line) && /syntax|constraint|does not exist|type|deadlock/.test(line));
      if (refused.length) this.violation(`${hub.name}: ${refused[0]}`);
    }
    await this.checkCollector();
  }

  // What is collected is not what builds refer to.
  async checkCollector() {
    const config = path.join(this.folder, 'gc.yaml');
    fs.writeFileSync(config, `${fs.readFileSync(this.hubs[0].config, 'utf8')}gc: {grace_ms: 0}\n`);
    const { stdout: collected } = await exec(path.join(bin, 'ignition-hub'), ['gc', '--data', path.join(this.folder, 'gc'), '--config', config], { timeout: 120_000 });
    this.collected = collected.trim();
    if (/^0 /.test(collected)) this.violation('nothing was collected, though stale results were uploaded');
    for (const build of this.accepted) {
      if (build.state !== 'succeeded' || build.preflight) continue;
      const { digest } = build.answer.engine;
      const fetched = await this.call('GET', `/v1/engines/${digest}`, build.organisation.token, undefined, [200]);
      if (sha256(fetched.bytes) !== digest) this.violation(`engine ${digest} was collected`);
    }
  }

  async stop() {
    for (const program of [...(this.agents ?? []), ...(this.hubs ?? [])]) await program.end('SIGKILL');
    for (const proxy of Object.values(this.proxies ?? {})) await proxy.stop();
    for (const mount of this.mounts) spawnSync('umount', ['-l', mount]);
  }
}

const seeds = process.argv.slice(2).map(Number);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'xinfer-fault-'));
fs.chmodSync(folder, 0o755);
const servers = { postgresql: new Postgresql(path.join(folder, 'postgresql')), rabbitmq: new Rabbitmq(path.join(folder, 'rabbitmq')), ceph: new Ceph(path.join(folder, 'ceph')) };
let failed = false;
try {
  await Promise.all(Object.values(servers).map((server) => server.start()));
  for (const seed of seeds) {
    const place = path.join(folder, `seed${seed}`);
    fs.mkdirSync(place);
    const farm = new Farm(place, servers, seed);
    const began = Date.now();
    try {
      await farm.start();
      await farm.run();
    } catch (error) {
      farm.violation(error.stack);
    }
    await farm.stop();
    const counts = Object.entries(farm.counts).map(([name, count]) => `${count} × ${name}`).join(', ');
    console.log(`seed ${seed}: ${farm.accepted?.length} builds and preflights, ${farm.jobs} jobs in ${farm.attempts} attempts, ${((Date.now() - began) / 1000).toFixed(0)} s; ${counts}; ${JSON.stringify(farm.statuses)} answers of 5xx or none; collected: ${farm.collected}; ${farm.violations.length} violations`);
    if (farm.violations.length) {
      failed = true;
      for (const name of fs.readdirSync(place).filter((file) => file.endsWith('.log'))) console.log(`--- ${name}\n${fs.readFileSync(path.join(place, name), 'utf8').slice(-3000)}`);
    }
  }
} catch (error) {
  failed = true;
  console.error(error.stack);
} finally {
  await Promise.allSettled(Object.values(servers).map((server) => server.stop()));
  fs.rmSync(folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
