// See kubernetes.sh.
import fs from 'node:fs';
import path from 'node:path';
import { commandProblems, containersOf, podTemplates, policyProblems, referenceProblems, render, schemaProblems, settingProblems } from './lib/manifests.mjs';
import { helpOf, output, source } from './lib/programs.mjs';

const folder = path.join(source, 'deploy/kubernetes/overlays');
const overlays = fs.readdirSync(folder);
const rendered = Object.fromEntries(overlays.map((name) => [name, render(path.join(folder, name))]));
const find = (objects, kind, name) => objects.find((o) => o.kind === kind && o.metadata.name.startsWith(name));
const targets = new Set(JSON.parse(output('xinfer-cli', ['targets', '--json'])).map((t) => t.name));
const settings = output('ignition-hub', ['settings']);
const agentHelp = helpOf('ignition-agent', []);
const version = /VERSION ([\d.]+)/.exec(fs.readFileSync(path.join(source, 'CMakeLists.txt'), 'utf8').split('project(')[1])[1];
const operations = fs.readFileSync(path.join(source, 'docs/operations.md'), 'utf8');
// The one place that names queues.
const prefix = /queue_of\(const std::string& job_class\) \{ return "([^"]+)" \+ job_class; \}/.exec(fs.readFileSync(path.join(source, 'src/queue/channel.cpp'), 'utf8'))[1];
const queueOf = (target, onDevice) => prefix + target + (onDevice ? '.device' : '');
let failures = 0;
const fail = (message) => {
  console.log(`FAIL: ${message}`);
  ++failures;
};

// Settings in files, and in the environment, where store.url is IGNITION_HUB_STORE_URL.
function settingsOf(objects) {
  const names = new Set([...settings.matchAll(/^(\S+)/gm)].map(([, name]) => `IGNITION_HUB_${name.toUpperCase().replaceAll('.', '_')}`));
  const variables = podTemplates(objects).flatMap(({ pod }) => containersOf(pod)).flatMap((c) => c.env ?? []).map((e) => e.name);
  return [
    ...objects.filter((o) => o.kind === 'ConfigMap' && o.data['hub.yaml']).flatMap((o) => settingProblems(o.data['hub.yaml'], settings)),
    ...variables.filter((name) => name.startsWith('IGNITION_AGENT_') && !agentHelp.includes(name)).map((name) => `ignition-agent takes no variable ${name}`),
    ...variables.filter((name) => name.startsWith('IGNITION_HUB_') && !names.has(name)).map((name) => `there is no setting for the variable ${name}`),
  ];
}

// Each class of agents: its queue, its targets and its name are the same; those that have devices do what takes one.
function classProblems(objects) {
  return objects.filter((o) => o.kind === 'ScaledJob').flatMap((job) => {
    // Names of objects have no "_".
    const onDevice = job.metadata.name.startsWith('agent-device-');
    const target = [...targets].find((t) => `agent-${onDevice ? 'device-' : ''}${t.replaceAll('_', '-')}` === job.metadata.name);
    const queue = job.spec.triggers[0].metadata.queueName;
    const args = job.spec.jobTargetRef.template.spec.containers[0].args;
    return [
      [target, 'is named after no target'],
      [args.includes(`--targets=${target}`), `builds for ${args.filter((a) => a.startsWith('--targets'))}`],
      [queue === queueOf(target, onDevice), `waits for the queue ${queue}, not ${queueOf(target, onDevice)}`],
      [args.includes('--kinds=verify,tune') === onDevice, 'does jobs of the wrong kinds'],
      [('nvidia.com/gpu' in (job.spec.jobTargetRef.template.spec.containers[0].resources?.limits ?? {})) === onDevice, 'asks for the wrong hardware'],
      [args.includes('--once'), 'an agent of a Job must end after one build (--once)'],
      [job.spec.minReplicaCount === 0, 'does not scale to zero'],
    ].filter(([holds]) => !holds).map(([, problem]) => `ScaledJob/${job.metadata.name}: ${problem}`);
  });
}

function imageProblems(objects) {
  return podTemplates(objects).flatMap(({ owner, pod }) => containersOf(pod)).map((c) => c.image)
    .filter((image) => /\bignition-|\bxinfer-/.test(image) && !image.endsWith(`:${version}`)).map((image) => `${image} is not of version ${version}`);
}

// Operators make the Secrets: each key that a manifest takes must stand in the page that tells them.
function secretProblems(objects) {
  const wanted = new Set();
  const collect = (value) => {
    if (value === null || typeof value !== 'object') return;
    if (value.secretKeyRef) wanted.add(`${value.secretKeyRef.name} ${value.secretKeyRef.key}`);
    if (value.secretName && value.items) for (const item of value.items) wanted.add(`${value.secretName} ${item.key}`);
    for (const ref of value.secretTargetRef ?? []) wanted.add(`${ref.name} ${ref.key}`);
    Object.values(value).forEach(collect);
  };
  objects.forEach(collect);
  return [...wanted].filter((entry) => {
    const [name, key] = entry.split(' ');
    return !operations.split('\n').some((line) => line.includes(`\`${name}\``) && line.includes(`\`${key}\``));
  }).map((entry) => `docs/operations.md does not tell how to make the Secret key ${entry}`);
}

const checks = [
  (objects) => objects.flatMap(schemaProblems), policyProblems, referenceProblems, (objects) => commandProblems(objects, helpOf), settingsOf, classProblems, imageProblems, secretProblems,
];

for (const [name, objects] of Object.entries(rendered)) {
  const problems = checks.flatMap((check) => check(objects));
  for (const problem of problems) fail(`${name}: ${problem}`);
  console.log(`${name}: ${objects.length} objects, ${problems.length} problems`);
}

// ---- what must be refused

const hub = (objects) => find(objects, 'Deployment', 'ignition-hub').spec.template.spec;
const agent = (objects) => find(objects, 'ScaledJob', 'agent').spec.jobTargetRef.template.spec;
const planted = [
  ['unknown field of a container', (o) => { hub(o).containers[0].imagePolicy = 'Always'; }, /imagePolicy: the schema has no such field/],
  ['unknown field deep in a KEDA object', (o) => { find(o, 'ScaledJob', 'agent').spec.scalingStrategy.stratgy = 'accurate'; }, /stratgy: the schema has no such field/],
  ['unknown field at the top', (o) => { find(o, 'Service', 'ignition-hub').specs = {}; }, /specs: the schema has no such field/],
  ['unknown field in a pod of a KEDA object', (o) => { agent(o).containers[0].securityContext.readOnlyRoot = true; }, /readOnlyRoot: the schema has no such field/],
  ['unknown field of the labels of a KEDA pod', (o) => { find(o, 'ScaledJob', 'agent').spec.jobTargetRef.template.metadata.label = {}; }, /metadata\/label: the schema has no such field/],
  ['wrong type', (o) => { find(o, 'HorizontalPodAutoscaler', 'ignition-hub').spec.maxReplicas = 'six'; }, /maxReplicas: must be integer/],
  ['missing field', (o) => { delete find(o, 'HorizontalPodAutoscaler', 'ignition-hub').spec.maxReplicas; }, /must have required property/],
  ['unknown kind', (o) => { find(o, 'Service', 'ignition-hub').kind = 'Servise'; }, /no schema/],
  ['root', (o) => { hub(o).securityContext.runAsUser = 0; }, /user other than root/],
  ['writable root file system', (o) => { delete agent(o).containers[0].securityContext.readOnlyRootFilesystem; }, /read-only root/],
  ['gain of privileges', (o) => { hub(o).containers[0].securityContext.allowPrivilegeEscalation = true; }, /gain privileges/],
  ['capability', (o) => { hub(o).containers[0].securityContext.capabilities.add = ['SYS_ADMIN']; }, /capabilities/],
  ['no seccomp', (o) => { delete hub(o).securityContext.seccompProfile; }, /seccomp/],
  ['no resources', (o) => { delete agent(o).containers[0].resources; }, /request CPU and memory/],
  ['latest', (o) => { hub(o).containers[0].image = 'images.example.org/ignition-hub:latest'; }, /image with a version/],
  ['secret in the environment', (o) => { hub(o).containers[0].env.push({ name: 'DATABASE_PASSWORD', value: 'plain' }); }, /DATABASE_PASSWORD holds its value/],
  ['secret in an argument', (o) => { agent(o).containers[0].args.push('--hub=http://me:plain@hub'); }, /holds a secret/],
  ['secret in the settings', (o) => { find(o, 'ConfigMap', 'hub-settings').data['hub.yaml'] = 'public_url: http://me:plain@broker\n'; }, /password in an address/],
  ['Secret object', (o) => { o.push({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x' }, stringData: { a: 'b' } }); }, /no Secret belongs/],
  ['token of the service account', (o) => { delete hub(o).automountServiceAccountToken; }, /token of a service account/],
  ['no default denial', (o) => { o.splice(o.indexOf(find(o, 'NetworkPolicy', 'default-deny')), 1); }, /denies everything/],
  ['mount without volume', (o) => { hub(o).containers[0].volumeMounts[0].name = 'nothing'; }, /is no volume/],
  ['policy for nobody', (o) => { find(o, 'NetworkPolicy', 'to-hub').spec.podSelector.matchLabels = { a: 'b' }; }, /selects no pod/],
  ['option that the program lacks', (o) => { agent(o).containers[0].args.push('--no-such-option=1'); }, /has no --no-such-option/],
  ['command that the program lacks', (o) => { hub(o).containers[0].args[0] = 'server'; }, /has no command server/],
  ['setting that the hub lacks', (o) => { find(o, 'ConfigMap', 'hub-settings').data['hub.yaml'] = 'lisen: 0.0.0.0:80\n'; }, /no setting lisen/],
  ['variable of no setting', (o) => { hub(o).containers[0].env.push({ name: 'IGNITION_HUB_NO_SUCH', value: '1' }); }, /variable IGNITION_HUB_NO_SUCH/],
  ['variable that the agent does not take', (o) => { agent(o).containers[0].env.push({ name: 'IGNITION_AGENT_NO_SUCH', value: '1' }); }, /no variable IGNITION_AGENT_NO_SUCH/],
  ['setting out of bounds', (o) => { find(o, 'ConfigMap', 'hub-settings').data['hub.yaml'] = 'farm: {attempts: 0}\n'; }, /farm.attempts: 0 is no number/],
  ['queue unlike the class', (o) => { find(o, 'ScaledJob', 'agent').spec.triggers[0].metadata.queueName = 'ignition.h100'; }, /waits for the queue ignition.h100/],
  ['targets unlike the class', (o) => { const args = agent(o).containers[0].args; args[args.findIndex((a) => a.startsWith('--targets'))] = '--targets=h100'; }, /builds for/],
  ['a builder that builds nothing', (o) => { agent(o).containers[0].args.push('--kinds=verify,tune'); }, /jobs of the wrong kinds/],
  ['Secret key that nobody was told of', (o) => { agent(o).volumes[0].secret.items[0].key = 'jeton'; }, /Secret key agent-token jeton/],
];
for (const [name, plant, expected] of planted) {
  const objects = structuredClone(rendered[overlays[0]]);
  plant(objects);
  const problems = checks.flatMap((check) => check(objects));
  if (!problems.some((problem) => expected.test(problem))) fail(`planted ${name} was not refused; found: ${problems.join('; ') || 'nothing'}`);
}
console.log(`${planted.length} planted faults, ${failures} failures`);
process.exit(failures ? 1 : 0);
