// usage: node with_servers.mjs postgresql,s3,rabbitmq COMMAND…: runs COMMAND with real servers, named by variables of its
// environment (XI_TEST_POSTGRESQL, XI_TEST_S3 with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, XI_TEST_RABBITMQ, and where openssl is installed XI_TEST_RABBITMQ_TLS with XI_TEST_RABBITMQ_CERTIFICATE). Exit
// status 77 (SKIP) where one is not installed.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Ceph, Postgresql, Rabbitmq } from './servers.mjs';

const kinds = { postgresql: Postgresql, s3: Ceph, rabbitmq: Rabbitmq };
const [names, ...command] = process.argv.slice(2);
const wanted = names.split(',');
for (const name of wanted) {
  if (kinds[name].installed()) continue;
  console.log(`SKIP: ${name} is not installed (./dev setup fault)`);
  process.exit(77);
}
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'xinfer-servers-'));
fs.chmodSync(folder, 0o755);
const servers = {};
let status = 1;
try {
  for (const name of wanted) servers[name] = new kinds[name](path.join(folder, name));
  await Promise.all(Object.values(servers).map((server) => server.start()));
  const env = { ...process.env };
  if (servers.postgresql) env.XI_TEST_POSTGRESQL = servers.postgresql.url;
  if (servers.rabbitmq) env.XI_TEST_RABBITMQ = servers.rabbitmq.url;
  if (servers.rabbitmq?.tlsUrl) Object.assign(env, { XI_TEST_RABBITMQ_TLS: servers.rabbitmq.tlsUrl, XI_TEST_RABBITMQ_CERTIFICATE: servers.rabbitmq.certificate });
  if (servers.s3) Object.assign(env, { XI_TEST_S3: servers.s3.url, AWS_ACCESS_KEY_ID: servers.s3.accessKey, AWS_SECRET_ACCESS_KEY: servers.s3.secretKey });
  const child = spawn(command[0], command.slice(1), { env, stdio: 'inherit' });
  status = await new Promise((done) => child.once('exit', (code) => done(code ?? 1)));
} catch (error) {
  console.error(error.message);
} finally {
  await Promise.allSettled(Object.values(servers).map((server) => server.stop()));
  fs.rmSync(folder, { recursive: true, force: true });
}
process.exit(status);
