// Real servers for tests, each in a folder of its own on loopback: PostgreSQL, RabbitMQ, S3 (Ceph's RADOS Gateway).
// start(): up and answering, or an error. kill(): SIGKILL to all of its processes. stop(): kill and forget.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export async function freePort() {
  const server = net.createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

export function has(program) {
  return (process.env.PATH + ':/usr/sbin:/usr/lib/postgresql/15/bin').split(':').some((folder) => fs.existsSync(path.join(folder, program)));
}

// Waits until `look` gives something true; an error with `what` and the tail of `log` after `seconds`.
export async function until(look, seconds, what, log = null) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await look();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s${log && fs.existsSync(log) ? `\n${fs.readFileSync(log, 'utf8').slice(-2000)}` : ''}`);
    await sleep(100);
  }
}

export function connects(port) {
  return new Promise((done) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => { socket.destroy(); done(true); });
    socket.once('error', () => done(false));
  });
}

// A program that some user other than root runs, where this is root (PostgreSQL refuses root).
function asUser(user, argv) {
  return process.getuid() === 0 ? ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups', ...argv] : argv;
}
function own(folder, user) {
  fs.mkdirSync(folder, { recursive: true });
  if (process.getuid() === 0) execFileSync('chown', ['-R', `${user}:${user}`, folder]);
}
function run(argv, options = {}) {
  return execFileSync(argv[0], argv.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options });
}

// Processes of the group that `child` leads.
function killGroup(child, signal = 'SIGKILL') {
  if (!child) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // gone already
  }
}
const ended = (child) => new Promise((done) => (child.exitCode !== null || child.signalCode !== null ? done() : child.once('exit', done)));

export class Postgresql {
  static installed = () => has('initdb');
  constructor(folder) {
    this.folder = folder;
    this.log = path.join(folder, 'log');
  }
  get url() {
    return `postgresql://postgres@127.0.0.1:${this.port}/postgres`;
  }
  async start() {
    const bin = '/usr/lib/postgresql/15/bin';
    if (!this.port) {
      this.port = await freePort();
      own(this.folder, 'postgres');
      run(asUser('postgres', [`${bin}/initdb`, '-A', 'trust', '-U', 'postgres', '-D', path.join(this.folder, 'data'), '--no-locale', '-E', 'UTF8']), { cwd: '/' });
    }
    const log = fs.openSync(this.log, 'a');
    // The lock file of a killed server names a process id that may be another program's by now.
    fs.rmSync(path.join(this.folder, 'data/postmaster.pid'), { force: true });
    this.child = spawn(...split(asUser('postgres', [`${bin}/postgres`, '-D', path.join(this.folder, 'data'), '-p', `${this.port}`, '-c', 'listen_addresses=127.0.0.1',
      '-c', `cluster_name=hub-${this.port}`, '-c', `unix_socket_directories=${this.folder}`, '-c', 'shared_buffers=32MB', '-c', 'max_connections=60'])), { cwd: '/', detached: true, stdio: ['ignore', log, log] });
    fs.closeSync(log);
    await until(() => this.query('SELECT 1').then(() => true, () => false), 60, 'PostgreSQL does not answer', this.log);
  }
  // Rows as arrays of text.
  async query(sql) {
    const text = run(['psql', '-X', '-q', '-At', '-F', '\t', '-v', 'ON_ERROR_STOP=1', '-c', sql, this.url], { timeout: 30_000 });
    return text.split('\n').filter(Boolean).map((line) => line.split('\t'));
  }
  // Its children lead process groups of their own; they carry the cluster's name.
  children() {
    const found = spawnSync('pgrep', ['-f', `^postgres: hub-${this.port}:`], { encoding: 'utf8' });
    return found.stdout.split('\n').filter(Boolean).map(Number);
  }
  async kill() {
    if (!this.child) return;
    killGroup(this.child);
    await ended(this.child);
    await until(() => {
      const left = this.children();
      for (const pid of left) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // gone already
        }
      }
      return left.length === 0;
    }, 20, 'processes of PostgreSQL remain');
  }
  stop = () => this.kill();
}

export class Rabbitmq {
  static installed = () => has('rabbitmq-server');
  constructor(folder) {
    this.folder = folder;
    this.log = path.join(folder, 'output');
  }
  get url() {
    return `amqp://guest:guest@127.0.0.1:${this.port}/`;
  }
  // Undefined where no certificate could be made.
  get tlsUrl() {
    return this.certificate && `amqps://guest:guest@localhost:${this.tlsPort}/`;
  }
  // Lines of the configuration file.
  speakTls() {
    const certificate = path.join(this.folder, 'certificate.pem');
    const key = path.join(this.folder, 'certificate.key');
    run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', certificate]);
    fs.chmodSync(certificate, 0o644);
    this.certificate = certificate;
    return `listeners.ssl.default = 127.0.0.1:${this.tlsPort}\nssl_options.certfile = ${certificate}\nssl_options.keyfile = ${key}\n`;
  }
  environment() {
    return {
      PATH: process.env.PATH, HOME: this.folder, HOSTNAME: 'localhost', RABBITMQ_NODENAME: `hub${this.port}@localhost`, RABBITMQ_CONFIG_FILE: path.join(this.folder, 'rabbitmq.conf'),
      RABBITMQ_MNESIA_BASE: path.join(this.folder, 'mnesia'), RABBITMQ_LOG_BASE: path.join(this.folder, 'logs'), RABBITMQ_ENABLED_PLUGINS_FILE: path.join(this.folder, 'plugins'),
      RABBITMQ_PID_FILE: path.join(this.folder, 'pid'), RABBITMQ_DIST_PORT: `${this.distPort}`, RABBITMQ_CONF_ENV_FILE: path.join(this.folder, 'none'), ERL_EPMD_ADDRESS: '127.0.0.1', ERL_EPMD_PORT: `${this.epmdPort}`,
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1} +S 1:1',
    };
  }
  async start() {
    if (!this.port) {
      [this.port, this.tlsPort, this.distPort, this.epmdPort] = [await freePort(), await freePort(), await freePort(), await freePort()];
      fs.mkdirSync(this.folder, { recursive: true });
      fs.writeFileSync(path.join(this.folder, 'rabbitmq.conf'), `listeners.tcp.default = 127.0.0.1:${this.port}\nloopback_users = none\n${has('openssl') ? this.speakTls() : ''}`);
      fs.writeFileSync(path.join(this.folder, 'plugins'), '[].\n');
      own(this.folder, 'rabbitmq');
    }
    // epmd outlives the broker: it is a process of our own, ended by its id.
    if (!this.epmd) this.epmd = spawn(...split(asUser('rabbitmq', ['epmd', '-address', '127.0.0.1', '-port', `${this.epmdPort}`])), { env: this.environment(), detached: true, stdio: 'ignore' });
    const log = fs.openSync(this.log, 'a');
    this.child = spawn(...split(asUser('rabbitmq', ['/usr/lib/rabbitmq/bin/rabbitmq-server'])), { cwd: this.folder, env: this.environment(), detached: true, stdio: ['ignore', log, log] });
    fs.closeSync(log);
    await until(() => connects(this.port), 90, 'RabbitMQ does not answer', this.log);
  }
  // {queue: messages}
  queues() {
    const text = run(asUser('rabbitmq', ['/usr/lib/rabbitmq/bin/rabbitmqctl', '-q', 'list_queues', 'name', 'messages', 'type']), { env: this.environment(), cwd: this.folder, timeout: 60_000 });
    return Object.fromEntries(text.split('\n').map((line) => line.split('\t')).filter((row) => row.length === 3 && row[0] !== 'name').map(([name, count, type]) => [name, { messages: Number(count), type }]));
  }
  async kill() {
    killGroup(this.child);
    await ended(this.child);
    await until(async () => !(await connects(this.port)), 20, 'RabbitMQ remains');
  }
  async stop() {
    if (this.child) killGroup(this.child);
    if (this.epmd) killGroup(this.epmd);
  }
}

// One monitor, one manager, one OSD with its data in memory, one gateway.
export class Ceph {
  static installed = () => ['ceph-mon', 'ceph-mgr', 'ceph-osd', 'radosgw', 'radosgw-admin'].every(has);
  accessKey = 'HUBACCESSKEY';
  secretKey = 'hubsecretkeyhubsecretkey';
  children = [];
  constructor(folder) {
    this.folder = folder;
    this.log = path.join(folder, 'output');
  }
  get url() {
    return `http://127.0.0.1:${this.port}`;
  }
  daemon(argv) {
    const log = fs.openSync(this.log, 'a');
    const child = spawn(argv[0], argv.slice(1), { env: { ...process.env, CEPH_CONF: this.conf }, cwd: this.folder, detached: true, stdio: ['ignore', log, log] });
    fs.closeSync(log);
    this.children.push(child);
    return child;
  }
  admin(argv, options = {}) {
    return run(argv, { env: { ...process.env, CEPH_CONF: this.conf }, cwd: this.folder, timeout: 60_000, ...options });
  }
  async start() {
    const at = (name) => path.join(this.folder, name);
    for (const name of ['mon', 'mgr', 'osd0', 'log', 'run', 'rgw']) fs.mkdirSync(at(name), { recursive: true });
    const [v2, v1] = [await freePort(), await freePort()];
    this.port = await freePort();
    this.conf = at('ceph.conf');
    const id = () => fs.readFileSync('/proc/sys/kernel/random/uuid', 'utf8').trim();
    const fsid = id();
    fs.writeFileSync(this.conf, `[global]
fsid = ${fsid}
mon_host = [v2:127.0.0.1:${v2},v1:127.0.0.1:${v1}]
mon_initial_members = a
ms_bind_ipv6 = false
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
public_network = 127.0.0.0/8
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
osd_crush_chooseleaf_type = 0
mon_data_avail_warn = 1
mon_data_avail_crit = 0
auth_allow_insecure_global_id_reclaim = false
mon_warn_on_pool_no_redundancy = false
run_dir = ${at('run')}
admin_socket = ${at('run')}/$cluster-$name.asok
log_file = ${at('log')}/$name.log
pid_file = ${at('run')}/$name.pid
keyring = ${at('keyring')}
mon_data = ${at('mon')}
mgr_data = ${at('mgr')}
osd_data = ${at('osd0')}
osd_objectstore = memstore
memstore_device_bytes = 2147483648
osd_memory_target = 939524096
mgr_initial_modules =
mon_mgr_beacon_grace = 30
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:${this.port}
rgw_data = ${at('rgw')}
rgw_thread_pool_size = 32
rgw_enable_apis = s3,admin
rgw_enable_usage_log = false
`);
    const keys = [['mon.', ['mon', 'allow *']], ['client.admin', ['mon', 'allow *', 'osd', 'allow *', 'mgr', 'allow *']], ['mgr.x', ['mon', 'allow profile mgr', 'osd', 'allow *', 'mds', 'allow *']],
      ['osd.0', ['mon', 'allow profile osd', 'mgr', 'allow profile osd', 'osd', 'allow *']], ['client.rgw', ['mon', 'allow rwx', 'mgr', 'allow rw', 'osd', 'allow rwx']]];
    keys.forEach(([name, caps], i) => this.admin(['ceph-authtool', ...(i ? [] : ['--create-keyring']), at('keyring'), '--gen-key', '-n', name, ...caps.flatMap((word, j) => (j % 2 ? [word] : ['--cap', word]))]));
    this.admin(['monmaptool', '--create', '--clobber', '--fsid', fsid, '--addv', 'a', `[v2:127.0.0.1:${v2},v1:127.0.0.1:${v1}]`, at('monmap')]);
    this.admin(['ceph-mon', '-i', 'a', '--mkfs', '--monmap', at('monmap'), '--keyring', at('keyring')]);
    this.daemon(['ceph-mon', '-f', '-i', 'a']);
    this.daemon(['ceph-mgr', '-f', '-i', 'x']);
    const osd = id();
    this.admin(['ceph', 'osd', 'create', osd]);
    this.admin(['ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osd]);
    this.admin(['ceph', 'osd', 'crush', 'add', 'osd.0', '1.0', 'root=default', 'host=localhost']);
    this.daemon(['ceph-osd', '-f', '-i', '0']);
    await until(() => this.admin(['ceph', 'osd', 'stat']).includes('1 up'), 60, 'the OSD does not come up', this.log);
    this.daemon(['radosgw', '-f', '-n', 'client.rgw']);
    await until(() => connects(this.port), 90, 'the gateway does not answer', this.log);
    this.admin(['radosgw-admin', 'user', 'create', '--uid=hub', '--display-name=Hub', `--access-key=${this.accessKey}`, `--secret-key=${this.secretKey}`]);
  }
  async stop() {
    for (const child of this.children) killGroup(child);
  }
}

// spawn(...split(argv), options)
function split(argv) {
  return [argv[0], argv.slice(1)];
}

// A TCP proxy that can be told to cut its connections, to let none through, and to hold every byte for a while.
export class Proxy {
  open = true;
  delayMs = 0;
  sockets = new Set();
  constructor(target) {
    this.target = target;
  }
  async start() {
    this.server = net.createServer((client) => this.join(client));
    await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
    this.port = this.server.address().port;
  }
  join(client) {
    if (!this.open) return client.resetAndDestroy();
    const server = net.connect(this.target, '127.0.0.1');
    for (const [from, to] of [[client, server], [server, client]]) {
      this.sockets.add(from);
      from.setNoDelay(true);
      from.on('error', () => {});
      from.on('close', () => { this.sockets.delete(from); to.destroy(); });
      from.on('data', (bytes) => {
        if (!this.delayMs) return to.write(bytes);
        from.pause();
        setTimeout(() => { if (!to.destroyed) to.write(bytes); from.resume(); }, this.delayMs);
      });
    }
  }
  cut() {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }
  async stop() {
    this.cut();
    await new Promise((done) => this.server.close(done));
  }
}
