// usage: node fairness.mjs: two hubs and four agents on PostgreSQL, RabbitMQ and S3 build matrices for five organisations of
// different weights. While all of them have work waiting, each must get build time within 10 % of its weight's share.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Fleet, Program, bin, makeModel, sha256 } from '../lib/fleet.mjs';
import { Ceph, Postgresql, Rabbitmq, freePort, sleep, until } from '../lib/servers.mjs';

const weights = { amber: 2, birch: 3, cedar: 4, dune: 5, ember: 6 };
const targets = ['x86-64-v3', 'x86-64-v4'];
const matrices = Number(process.env.XI_FAIRNESS_MATRICES ?? 40); // of each organisation
const tolerance = 0.1;
const patience = 600; // seconds

class Fairness extends Fleet {
  async start({ postgresql, rabbitmq, ceph }) {
    await postgresql.query('CREATE DATABASE fairness');
    this.database = postgresql.url.replace(/postgres$/, 'fairness');
    fs.writeFileSync(path.join(this.folder, 's3'), `${ceph.accessKey}\n${ceph.secretKey}\n`, { mode: 0o600 });
    for (const i of [0, 1]) {
      const [data, config, port] = [path.join(this.folder, `hub${i}`), path.join(this.folder, `hub${i}.yaml`), await freePort()];
      fs.writeFileSync(config, `listen: 127.0.0.1:${port}
database: {url: "${this.database}"}
store: {url: "s3://fairness/objects", s3_endpoint: "${ceph.url}", s3_credentials: ${path.join(this.folder, 's3')}}
queue: {url: "${rabbitmq.url}", poll_ms: 1000}
keys: {signing: ${path.join(this.folder, 'keys/engines.ed25519')}}
agents: {local: 0}
metrics: {public: true}
`);
      const hub = new Program(`hub${i}`, [path.join(bin, 'ignition-hub'), 'serve', '--data', data, '--config', config], path.join(this.folder, `hub${i}.log`));
      Object.assign(hub, { url: `http://127.0.0.1:${port}`, data, config });
      this.hubs.push(hub);
      hub.start();
      await this.answers(hub);
    }
    const administrator = /ih_administrator_[0-9a-f]+/.exec(fs.readFileSync(this.hubs[0].log, 'utf8'))[0];
    const token = async (role, organisation) => (await this.call('POST', '/v1/tokens', administrator, JSON.stringify({ role, organisation, name: 'fairness test' }), [201])).json.token;
    this.organisations = [];
    for (const [name, weight] of Object.entries(weights)) {
      const made = spawnSync(path.join(bin, 'ignition-hub'), ['admin', 'create-org', name, '--weight', `${weight}`, '--data', this.hubs[0].data, '--config', this.hubs[0].config], { encoding: 'utf8' });
      if (made.status !== 0) throw new Error(`create-org ${name}: ${made.stderr}`);
      this.organisations.push({ name, weight, token: await token('developer', name) });
    }
    this.agentToken = await token('agent', '');
  }

  // Every build is another one: they differ in the labels of their metadata.
  async ask() {
    for (const [i, organisation] of this.organisations.entries()) {
      const model = makeModel(i + 1, path.join(this.folder, `${organisation.name}.onnx`));
      await this.upload(organisation.token, model);
      for (let n = 0; n < matrices; ++n) {
        const body = { onnx: sha256(model), targets, metadata: { head: 'softmax', labels: [`${organisation.name} ${n}`] } };
        const answer = await this.call('POST', '/v1/matrices', organisation.token, JSON.stringify(body));
        if (answer.status !== 202) throw new Error(`a matrix was refused: ${answer.status} ${answer.bytes}`);
      }
    }
  }

  startAgents(rabbitmq) {
    const sandbox = spawnSync('bwrap', ['--unshare-all', '--ro-bind', '/', '/', 'true']).status === 0 ? 'on' : 'off';
    const tokenFile = path.join(this.folder, 'agent.token');
    fs.writeFileSync(tokenFile, this.agentToken, { mode: 0o600 });
    this.agents = [0, 1, 2, 3].map((i) => {
      const argv = [path.join(bin, 'ignition-agent'), '--hub', this.hubs[i % 2].url, '--token-file', tokenFile, '--name', `agent-${i}`, '--targets', targets.join(','),
        '--work', path.join(this.folder, `agent${i}`), '--jobs', '1', '--sandbox', sandbox, ...(i >= 2 ? ['--queue', rabbitmq.url] : [])];
      const agent = new Program(`agent${i}`, argv, path.join(this.folder, `agent${i}.log`));
      agent.start();
      return agent;
    });
  }

  // Until the first organisation has nothing waiting any more: since then the others share what is left.
  async whileAllHaveWork() {
    const waiting = async () => (await this.query("SELECT organisation, COUNT(*) FROM jobs WHERE state = 'queued' GROUP BY 1")).length;
    await until(async () => (await waiting()) < this.organisations.length, patience, 'the queue does not shrink');
  }

  async judge() {
    await this.whileAllHaveWork();
    const rows = await this.query("SELECT organisation, COUNT(*), SUM(finished_ms - leased_ms) FROM jobs WHERE state = 'succeeded' GROUP BY 1");
    const failed = await this.query("SELECT organisation, error FROM jobs WHERE state = 'failed' LIMIT 3");
    if (failed.length) throw new Error(`builds failed: ${JSON.stringify(failed)}`);
    const agents = await this.query("SELECT agent, COUNT(*) FROM jobs WHERE state = 'succeeded' GROUP BY 1 ORDER BY 1");
    const total = rows.reduce((sum, row) => sum + Number(row[2]), 0), sum = Object.values(weights).reduce((a, b) => a + b);
    console.log('organisation  weight  builds  build time s  share    of its fair share');
    let worst = 0;
    for (const { name, weight } of this.organisations) {
      const [, builds = '0', ms = '0'] = rows.find((row) => row[0] === name) ?? [];
      const share = Number(ms) / total, ratio = share / (weight / sum);
      worst = Math.max(worst, Math.abs(ratio - 1));
      console.log(`${name.padEnd(12)}  ${`${weight}`.padStart(6)}  ${builds.padStart(6)}  ${(Number(ms) / 1000).toFixed(1).padStart(12)}  ${(100 * share).toFixed(1).padStart(5)} %  ${ratio.toFixed(3)}`);
    }
    console.log(`builds by agent: ${agents.map(([name, count]) => `${name} ${count}`).join(', ')}`);
    if (agents.length !== 4) throw new Error('not all four agents have built');
    if (worst > tolerance) throw new Error(`a share is ${(100 * worst).toFixed(1)} % from its weight's`);
    return worst;
  }

  async stop() {
    for (const program of [...(this.agents ?? []), ...this.hubs]) await program.end('SIGKILL');
  }
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'xinfer-fairness-'));
fs.chmodSync(folder, 0o755);
const servers = { postgresql: new Postgresql(path.join(folder, 'postgresql')), rabbitmq: new Rabbitmq(path.join(folder, 'rabbitmq')), ceph: new Ceph(path.join(folder, 'ceph')) };
const fairness = new Fairness(folder);
let status = 1;
try {
  await Promise.all(Object.values(servers).map((server) => server.start()));
  await fairness.start(servers);
  await fairness.ask();
  const began = Date.now();
  fairness.startAgents(servers.rabbitmq);
  const worst = await fairness.judge();
  console.log(`ok: while all had work (${((Date.now() - began) / 1000).toFixed(0)} s) the largest deviation was ${(100 * worst).toFixed(1)} %`);
  status = 0;
} catch (error) {
  console.error(error.stack);
  for (const name of fs.readdirSync(folder).filter((file) => file.endsWith('.log'))) console.log(`--- ${name}\n${fs.readFileSync(path.join(folder, name), 'utf8').slice(-2000)}`);
} finally {
  await fairness.stop();
  await Promise.allSettled(Object.values(servers).map((server) => server.stop()));
  fs.rmSync(folder, { recursive: true, force: true });
}
process.exit(status);
