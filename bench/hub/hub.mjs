// usage: node bench/hub/hub.mjs [--bin FOLDER] [--only PART,…] [--out FILE] [--help]: load on a real hub, on this machine.
// Prints tables and writes a JSON document. The client shares the processors with what it measures.
import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { Postgresql, freePort, sleep, until } from '../../tests/lib/servers.mjs';

const parts = ['requests', 'streams', 'downloads', 'farm'];
const help = `usage: node bench/hub/hub.mjs [OPTION…]
  --bin FOLDER       programs (build/release/bin)
  --only PART,…      of ${parts.join(', ')} (all)
  --seconds N        of each measurement of requests (10)
  --rounds N         of downloads; hub and nginx take turns (5)
  --streams N        open event streams (10000)
  --jobs N           jobs of the farm (1000)
  --out FILE         JSON document (build/bench/hub.json)`;

function options(argv) {
  const chosen = { bin: 'build/release/bin', only: parts.join(), seconds: '10', rounds: '5', streams: '10000', jobs: '1000', out: 'build/bench/hub.json' };
  for (let i = 0; i < argv.length; i += 2) {
    const name = argv[i].replace(/^--/, '');
    if (argv[i] === '--help') {
      console.log(help);
      process.exit(0);
    }
    if (!(name in chosen) || argv[i + 1] === undefined) throw new Error(`unknown option ${argv[i]}\n${help}`);
    chosen[name] = argv[i + 1];
  }
  for (const part of chosen.only.split(',')) if (!parts.includes(part)) throw new Error(`--only: no part ${part}\n${help}`);
  return chosen;
}

const option = options(process.argv.slice(2));
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-hub-'));
fs.chmodSync(scratch, 0o755); // PostgreSQL runs as another user
const result = { machine: `${os.cpus().length} x ${os.cpus()[0].model}` };
const children = [];
const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

// ---- Processes

function start(argv, log, options = {}) {
  const out = fs.openSync(log, 'a');
  const child = spawn(argv[0], argv.slice(1), { stdio: ['ignore', out, out], ...options });
  fs.closeSync(out);
  children.push(child);
  return child;
}
async function stop(child) {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  await gone;
}
// Processor seconds so far, of the process and its children that run.
function cpuSeconds(pid) {
  const tick = 100;
  const one = (id) => {
    const fields = fs.readFileSync(`/proc/${id}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) / tick;
  };
  const below = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  return [pid, ...below].reduce((sum, id) => sum + one(id), 0);
}
function residentMb(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
}
function load(...argv) {
  return new Promise((done, failed) => {
    const child = spawn(path.join(option.bin, 'hub_load'), argv.map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.on('data', (data) => (out += data));
    child.once('close', (status) => (status === 0 ? done(JSON.parse(out)) : failed(new Error(`hub_load ${argv[0]} failed`))));
  });
}

// ---- A hub and what a client and an agent say to it

class Hub {
  constructor(name) {
    this.folder = path.join(scratch, name);
    this.log = path.join(scratch, `${name}.log`);
  }
  // `settings`: lines of the configuration file.
  async start(settings = '') {
    this.config = `${this.folder}.yaml`;
    fs.writeFileSync(this.config, `agents: {local: 0}\nbuilds: {queued: 10000000}\nhttp: {token_requests_per_s: 0}\n${settings}`);
    const before = fs.existsSync(this.log) ? fs.statSync(this.log).size : 0;
    this.process = start([path.join(option.bin, 'ignition-hub'), 'serve', '--data', this.folder, '--config', this.config, '--listen', '127.0.0.1:0'], this.log);
    const said = await until(() => /Ignition Hub at (\S+)/.exec(fs.readFileSync(this.log, 'utf8').slice(before)), 30, 'a hub', this.log);
    this.url = said[1];
    const tls = this.url.startsWith('https:');
    this.protocol = tls ? https : http;
    this.agent = new this.protocol.Agent({ keepAlive: true, ...(tls ? { ca: fs.readFileSync(`${certificate}.pem`) } : {}) });
    this.administrator ??= /ih_administrator_\w+/.exec(fs.readFileSync(this.log, 'utf8'))?.[0];
  }
  call(method, route, token, body = '') {
    return new Promise((done, failed) => {
      const request = this.protocol.request(this.url + route, { method, agent: this.agent, headers: { Authorization: `Bearer ${token}`, 'Content-Length': Buffer.byteLength(body) } }, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          if (response.statusCode >= 400) return failed(new Error(`${method} ${route}: ${response.statusCode} ${text}`));
          done(text ? JSON.parse(text) : null);
        });
      });
      request.once('error', failed);
      request.end(body);
    });
  }
  async token(role, organisation = 'default') {
    return (await this.call('POST', '/v1/tokens', this.administrator, JSON.stringify({ role, organisation, name: 'bench' }))).token;
  }
  async upload(token, bytes) {
    const part = 8 << 20;
    const digest = sha256(bytes);
    const made = await this.call('POST', '/v1/uploads', token, JSON.stringify({ size_bytes: bytes.length, sha256: digest }));
    for (let at = 0; made.state !== 'complete' && at < bytes.length; at += part) await this.call('PUT', `/v1/uploads/${made.id}?offset=${at}`, token, bytes.subarray(at, at + part));
    if (made.state !== 'complete') await this.call('POST', `/v1/uploads/${made.id}/complete`, token);
    return digest;
  }
  build(token, onnx, number) {
    return this.call('POST', '/v1/builds', token, JSON.stringify({ onnx, target: 'x86-64-v3', shapes: { x: [number, 8] } }));
  }
  lease(token, name) {
    return this.call('POST', '/v1/agents/lease', token, JSON.stringify({ agent: name, targets: ['x86-64-v3'], wait_ms: 0 }));
  }
  // As an agent does it with the engine that it has built.
  async complete(token, lease, engine) {
    await this.call('POST', `/v1/agents/jobs/${lease.job}/complete`, token, JSON.stringify({ token: lease.token, engine, report: {} }));
  }
  // A build that has succeeded, with `bytes` for its engine.
  async engine(developer, agent, onnx, number, bytes) {
    const build = await this.build(developer, onnx, number);
    const lease = await this.lease(agent, 'bench');
    await this.complete(agent, lease, await this.upload(agent, bytes));
    return this.call('GET', `/v1/builds/${build.id}`, developer);
  }
}

// ---- Status of a build: fixed rate, then as fast as it goes

async function requests(hub, developer, build) {
  const at = ['--url', `${hub.url}/v1/builds/${build.id}`, '--token', developer, '--seconds', option.seconds];
  const before = cpuSeconds(hub.process.pid);
  const fixed = await load('requests', ...at, '--rate', 2000);
  const cpu = (cpuSeconds(hub.process.pid) - before) / (Number(option.seconds) + 2);
  const fastest = await load('requests', ...at, '--rate', 0);
  result.requests = { fixed, cpu, fastest };
  const row = (name, r) => console.log(`  ${name.padEnd(22)} ${r.per_second.toFixed(0).padStart(7)} ${r.p50_ms.toFixed(2).padStart(8)} ${r.p99_ms.toFixed(2).padStart(8)} ${r.p999_ms.toFixed(2).padStart(9)} ${r.max_ms.toFixed(1).padStart(8)}  ${JSON.stringify(r.statuses)}`);
  console.log('\nGET /v1/builds/{id}     answers/s   p50 ms   p99 ms  p99.9 ms   max ms  statuses');
  row('2,000 a second', fixed);
  row('as fast as it goes', fastest);
  console.log(`  the hub's processor time at 2,000 a second: ${cpu.toFixed(2)} of a core`);
}

// ---- TLS

const certificate = path.join(scratch, 'certificate');
function makeCertificate() {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', `${certificate}.key`, '-out', `${certificate}.pem`], { stdio: 'ignore' });
}
async function restartWithTls(hub) {
  if (hub.url.startsWith('https:')) return;
  await stop(hub.process);
  await hub.start(`tls: {certificate: ${certificate}.pem, key: ${certificate}.key}\n`);
}

// ---- Event streams

async function streams(hub, developer, agent, onnx, tls, number) {
  if (tls) await restartWithTls(hub);
  const build = await hub.build(developer, onnx, number);
  const idle = residentMb(hub.process.pid);
  const child = spawn(path.join(option.bin, 'hub_load'), ['streams', '--url', `${hub.url}/v1/builds/${build.id}/events`, '--token', developer, '--count', option.streams, ...(tls ? ['--certificate', `${certificate}.pem`] : [])], { stdio: ['pipe', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (data) => (out += data));
  const ended = new Promise((done) => child.once('close', done));
  await until(() => {
    if (child.exitCode !== null) throw new Error('the streams were not opened');
    return out.includes('\n');
  }, 180, 'open streams');
  const opened = JSON.parse(out.split('\n')[0]);
  await sleep(2000);
  const open = residentMb(hub.process.pid);
  const lease = await hub.lease(agent, 'bench'); // not before: opening may take longer than a lease
  for (let i = 0; i < 5; ++i) {
    await hub.call('POST', `/v1/agents/jobs/${lease.job}/heartbeat`, agent, JSON.stringify({ token: lease.token, log: [`mark ${Date.now()}`] }));
    await sleep(3000);
  }
  const after = residentMb(hub.process.pid);
  child.stdin.end();
  await ended;
  const { marks, lost } = JSON.parse(out.split('\n')[1]);
  await hub.complete(agent, lease, await hub.upload(agent, randomBytes(1000)));
  (result.streams ??= []).push({ tls, opened, idle, open, after, lost, marks });
  const count = opened.open;
  console.log(`\n${count} event streams of one build${tls ? ' over TLS 1.3' : ''}, opened in ${opened.seconds} s; ${lost} lost`);
  console.log(`  the hub's memory: ${idle.toFixed(0)} MB before, ${open.toFixed(0)} MB with all open (${(((open - idle) * 1024) / count).toFixed(1)} KB each), ${after.toFixed(0)} MB after five events to all`);
  for (const mark of marks) console.log(`  an event reached ${mark.delivered} streams: p50 ${mark.p50_ms} ms, p99 ${mark.p99_ms} ms, the last after ${mark.max_ms} ms`);
}

// ---- Downloads: the hub and nginx serve the same file, by turns

async function startNginx(file, certificate) {
  const [plain, tls] = [await freePort(), await freePort()];
  const folder = path.join(scratch, 'nginx');
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'nginx.conf'), `daemon off; pid ${folder}/pid; error_log ${folder}/error.log;${process.getuid() === 0 ? ' user root;' : ''}
worker_processes ${os.cpus().length};
events { worker_connections 1024; }
http {
  access_log off; default_type application/octet-stream; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  ssl_certificate ${certificate}.pem; ssl_certificate_key ${certificate}.key; ssl_protocols TLSv1.3; ssl_buffer_size 16k;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  server { listen 127.0.0.1:${plain}; listen 127.0.0.1:${tls} ssl; location = /file { alias ${file}; } }
}
`);
  const child = start(['nginx', '-p', folder, '-c', path.join(folder, 'nginx.conf')], path.join(folder, 'log'), { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:${path.resolve('build/unpacked/usr/sbin')}` } });
  await until(() => fs.existsSync(path.join(folder, 'pid')), 10, 'nginx', path.join(folder, 'log'));
  return { child, url: `http://127.0.0.1:${plain}/file`, tlsUrl: `https://127.0.0.1:${tls}/file` };
}

function check(url, token, certificate, digest) {
  const text = execFileSync('sh', ['-c', 'curl -fsS --cacert "$1" -H "Authorization: Bearer $2" "$3" | sha256sum', 'sh', `${certificate}.pem`, token, url], { encoding: 'utf8' });
  if (!text.startsWith(digest)) throw new Error(`${url}: damaged on its way`);
}

async function downloads(hub, developer, agent, onnx) {
  const files = [];
  for (const [number, megabytes] of [[11, 200], [12, 10]]) files.push({ megabytes, digest: (await hub.engine(developer, agent, onnx, number, randomBytes(megabytes * 1_000_000))).engine.digest });
  result.downloads = [];
  console.log('\ndownload              hub MB/s  nginx MB/s  hub/nginx   processor s/GB: hub  nginx');
  for (const tls of [false, true]) {
    if (tls) await restartWithTls(hub);
    for (const { megabytes, digest } of files) {
      const nginx = await startNginx(path.join(hub.folder, 'objects', digest.slice(0, 2), digest), certificate);
      const sides = { hub: { url: `${hub.url}/v1/engines/${digest}`, pid: hub.process.pid }, nginx: { url: tls ? nginx.tlsUrl : nginx.url, pid: nginx.child.pid } };
      for (const side of Object.values(sides)) check(side.url, developer, certificate, digest);
      for (const connections of [1, 8]) {
        for (const side of Object.values(sides)) Object.assign(side, { rates: [], cpu: 0, bytes: 0 });
        for (let round = 0; round < Number(option.rounds); ++round) {
          for (const side of round % 2 ? [sides.nginx, sides.hub] : [sides.hub, sides.nginx]) {
            const before = cpuSeconds(side.pid);
            const got = await load('downloads', '--url', side.url, '--token', developer, '--connections', connections, '--seconds', 2, '--certificate', `${certificate}.pem`);
            side.rates.push(got.mb_per_second);
            side.cpu += cpuSeconds(side.pid) - before;
            side.bytes += got.bytes * 1.25; // the warm-up of half a second counts for the processor
          }
        }
        const row = { tls, megabytes, connections };
        for (const [name, side] of Object.entries(sides)) Object.assign(row, { [name]: median(side.rates), [`${name}_rounds`]: side.rates, [`${name}_cpu_s_per_gb`]: side.cpu / (side.bytes / 1e9) });
        row.ratio = row.hub / row.nginx;
        result.downloads.push(row);
        console.log(`  ${(tls ? 'TLS 1.3' : 'plain').padEnd(7)} ${String(megabytes).padStart(4)} MB x${connections} ${row.hub.toFixed(0).padStart(9)} ${row.nginx.toFixed(0).padStart(11)} ${row.ratio.toFixed(3).padStart(10)} ${row.hub_cpu_s_per_gb.toFixed(3).padStart(22)} ${row.nginx_cpu_s_per_gb.toFixed(3).padStart(6)}`);
      }
      await stop(nginx.child);
    }
  }
}

// ---- The farm's transactions, with two hubs on one PostgreSQL

async function farm() {
  if (!Postgresql.installed()) {
    console.log('\nfarm: skipped, PostgreSQL is not installed (./dev setup fault)');
    return;
  }
  const postgresql = new Postgresql(path.join(scratch, 'postgresql'));
  await postgresql.start();
  try {
    const keys = path.join(scratch, 'keys');
    fs.mkdirSync(keys);
    const settings = `database: {url: "${postgresql.url}"}\nkeys: {signing: ${keys}/engines.ed25519}\nfarm: {lease_ms: 600000}\n`;
    const hubs = [new Hub('hub1'), new Hub('hub2')];
    for (const hub of hubs) {
      await hub.start(settings);
      fs.rmSync(path.join(hub.folder, 'objects'), { recursive: true });
      fs.mkdirSync(path.join(scratch, 'shared'), { recursive: true });
      fs.symlinkSync(path.join(scratch, 'shared'), path.join(hub.folder, 'objects'));
    }
    await transactions(hubs);
    for (const hub of hubs) await stop(hub.process);
  } finally {
    await postgresql.stop();
  }
}

async function transactions(hubs) {
  const jobs = Number(option.jobs);
  const clients = 32;
  const [developer, agent] = [await hubs[0].token('developer'), await hubs[0].token('agent')];
  const onnx = await hubs[0].upload(developer, randomBytes(1000));
  const engine = await hubs[0].upload(agent, randomBytes(2000));
  await until(() => hubs[1].call('GET', '/v1/builds', developer).then(() => true, () => false), 20, 'the token on the other hub');
  // `work(hub, client)` until it gives false, by `clients` at once over both hubs; how many a second.
  const drive = async (work) => {
    let done = 0;
    const start = performance.now();
    await Promise.all(Array.from({ length: clients }, async (_, i) => {
      while (await work(hubs[i % 2], i)) ++done;
    }));
    return done / ((performance.now() - start) / 1000);
  };
  let next = 0;
  const enqueued = await drive(async (hub) => next < jobs && (await hub.build(developer, onnx, ++next)));
  const leases = [];
  const leased = await drive(async (hub, i) => {
    const lease = await hub.lease(agent, `bench-${i}`);
    if (lease) leases.push(lease);
    return lease !== null;
  });
  let beat = 0;
  const heartbeats = await drive(async (hub) => {
    const lease = leases[beat++];
    return lease && (await hub.call('POST', `/v1/agents/jobs/${lease.job}/heartbeat`, agent, JSON.stringify({ token: lease.token, log: [], progress: { stage: 'compile', done: 1, total: 2 } })));
  });
  const completed = await drive(async (hub) => {
    const lease = leases.pop();
    if (!lease) return false;
    await hub.complete(agent, lease, engine);
    return true;
  });
  const state = await hubs[1].call('GET', '/v1/builds?state=succeeded&limit=1', developer);
  if (state.total !== jobs) throw new Error(`${state.total} of ${jobs} builds succeeded`);
  result.farm = { jobs, clients, enqueued, leased, heartbeats, completed };
  console.log(`\nfarm: two hubs on one PostgreSQL, ${jobs} jobs, ${clients} clients; a second: ${enqueued.toFixed(0)} enqueued, ${leased.toFixed(0)} leased, ${heartbeats.toFixed(0)} heartbeats, ${completed.toFixed(0)} completed`);
}

// ----

async function main() {
  const only = option.only.split(',');
  console.log(`on ${result.machine}, shared by hub, client and nginx`);
  makeCertificate();
  const hub = new Hub('hub');
  await hub.start();
  const [developer, agent] = [await hub.token('developer'), await hub.token('agent')];
  const onnx = await hub.upload(developer, randomBytes(1000));
  const build = await hub.engine(developer, agent, onnx, 1, randomBytes(100_000));
  if (only.includes('requests')) await requests(hub, developer, build);
  if (only.includes('streams')) await streams(hub, developer, agent, onnx, false, 7);
  if (only.includes('downloads')) await downloads(hub, developer, agent, onnx);
  if (only.includes('streams')) await streams(hub, developer, agent, onnx, true, 8);
  await stop(hub.process);
  if (only.includes('farm')) await farm();
  fs.mkdirSync(path.dirname(option.out), { recursive: true });
  fs.writeFileSync(option.out, JSON.stringify(result, null, 1));
  console.log(`\nwritten: ${option.out}`);
}

let status = 0;
try {
  await main();
} catch (error) {
  console.error(error);
  status = 1;
}
for (const child of children) child.kill('SIGKILL');
fs.rmSync(scratch, { recursive: true, force: true });
process.exit(status);
