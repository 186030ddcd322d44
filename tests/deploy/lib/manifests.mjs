// Kubernetes manifests as kustomize renders them: what the schemas, the cluster's objects among each other, and our own
// rules say about them. Each check returns its problems as texts, none when all is well.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import YAML from 'yaml';
import { argumentProblems } from './arguments.mjs';

const require = createRequire(import.meta.url);

export function render(folder) {
  const text = execFileSync('kubectl', ['kustomize', folder], { encoding: 'utf8', maxBuffer: 64 << 20, stdio: ['ignore', 'pipe', 'pipe'] });
  return YAML.parseAllDocuments(text).map((document) => document.toJS()).filter(Boolean);
}

const called = (object) => `${object.kind}/${object.metadata?.name}`;

// ---- schemas

function modelOf({ apiVersion, kind }) {
  const module = /^(keda|eventing\.keda)\.sh\//.test(apiVersion) ? `@kubernetes-models/keda/${apiVersion}` : `kubernetes-models/${apiVersion}`;
  try {
    return require(module)[kind];
  } catch {
    return undefined;
  }
}

// The validators are compiled code without the schemas they came from, and let unknown fields pass. But they read every
// field that they know: what a validator has not read, its schema does not have.
function watch(value) {
  if (value === null || typeof value !== 'object') return { watched: value, unread: () => [] };
  const read = new Set();
  const children = new Map();
  const watched = new Proxy(value, {
    get(object, key) {
      if (typeof key !== 'string') return object[key];
      read.add(key);
      const child = object[key];
      if (child === null || typeof child !== 'object' || !Object.hasOwn(object, key)) return child;
      if (!children.has(key)) children.set(key, watch(child));
      return children.get(key).watched;
    },
  });
  const unread = (at) => [
    ...(Array.isArray(value) ? [] : Object.keys(value).filter((key) => !read.has(key)).map((key) => `${at}/${key}`)),
    ...[...children].flatMap(([key, child]) => child.unread(`${at}/${key}`)),
  ];
  return { watched, unread };
}

export function schemaProblems(object) {
  const model = modelOf(object);
  if (!model) return [`${called(object)}: no schema for ${object.apiVersion} ${object.kind}`];
  const { watched, unread } = watch(object);
  try {
    model.prototype.validate.call(watched);
  } catch (error) {
    return (error.errors ?? [error]).map((e) => `${called(object)}${e.instancePath ?? ''}: ${e.message}`);
  }
  const problems = unread('').map((at) => `${called(object)}${at}: the schema has no such field`);
  if (object.kind !== 'ScaledJob') return problems;
  // KEDA keeps the pods' metadata as it comes (from 2.15 on; 2.14 drops it), so its schema is Kubernetes' own.
  const template = { apiVersion: 'v1', kind: 'PodTemplate', metadata: object.metadata, template: object.spec.jobTargetRef.template };
  return [...problems.filter((p) => !p.includes('/spec/jobTargetRef/template/metadata/')), ...schemaProblems(template)];
}

// ---- pods

const templates = {
  Deployment: (o) => o.spec.template,
  StatefulSet: (o) => o.spec.template,
  Job: (o) => o.spec.template,
  CronJob: (o) => o.spec.jobTemplate.spec.template,
  ScaledJob: (o) => o.spec.jobTargetRef.template,
};

export function podTemplates(objects) {
  return objects.filter((o) => templates[o.kind]).map((o) => ({ owner: called(o), object: o, template: templates[o.kind](o), pod: templates[o.kind](o).spec }));
}

export const containersOf = (pod) => [...(pod.initContainers ?? []), ...(pod.containers ?? [])];

function containerProblems(container, pod) {
  const own = container.securityContext ?? {};
  const either = (field) => own[field] ?? pod.securityContext?.[field];
  const rules = [
    [either('runAsNonRoot') === true && either('runAsUser') > 0, 'must run as a user other than root'],
    [own.readOnlyRootFilesystem === true, 'must have a read-only root file system'],
    [own.allowPrivilegeEscalation === false, 'must not be able to gain privileges'],
    [own.privileged !== true, 'must not be privileged'],
    [JSON.stringify(own.capabilities) === '{"drop":["ALL"]}', 'must drop all capabilities and add none'],
    [['RuntimeDefault', 'Localhost'].includes(either('seccompProfile')?.type), 'needs a seccomp profile'],
    // /proc may be unmasked only where root in the pod is nobody on the node.
    [(own.procMount ?? 'Default') === 'Default' || pod.hostUsers === false, 'unmasks /proc without user namespace'],
    [container.resources?.requests?.cpu && container.resources?.requests?.memory, 'must request CPU and memory'],
    [container.resources?.limits?.memory, 'must have a limit on memory'],
    [/^[^@]+:[\w][\w.-]*$/.test(container.image.split('/').pop()) && !/:latest$/.test(container.image), 'needs an image with a version'],
  ];
  return rules.filter(([holds]) => !holds).map(([, problem]) => problem);
}

// A value that looks like a secret must come by reference.
function secretProblems(container) {
  const named = /pass(word)?$|secret|token$|access_?key|credential/i;
  return [
    ...(container.env ?? []).filter((e) => named.test(e.name) && e.value !== undefined).map((e) => `${e.name} holds its value: take it from a Secret`),
    ...[...(container.command ?? []), ...(container.args ?? [])]
      .filter((a) => /:\/\/[^/\s]*:[^/\s]*@/.test(a) || /^--?[\w.-]*(password|secret|token)=/i.test(a))
      .map((a) => `the argument ${a.split('=')[0]} holds a secret`),
  ];
}

export function policyProblems(objects) {
  const problems = [];
  for (const { owner, pod } of podTemplates(objects)) {
    const report = (problem) => problems.push(`${owner}: ${problem}`);
    if (pod.automountServiceAccountToken !== false) report('must not mount the token of a service account');
    for (const field of ['hostNetwork', 'hostPID', 'hostIPC']) if (pod[field]) report(`must not share the node's namespaces (${field})`);
    for (const volume of pod.volumes ?? []) {
      if (volume.hostPath) report(`the volume ${volume.name} is a folder of the node`);
      if (volume.emptyDir && !volume.emptyDir.sizeLimit) report(`the volume ${volume.name} has no limit`);
    }
    for (const container of containersOf(pod)) {
      for (const problem of [...containerProblems(container, pod), ...secretProblems(container)]) report(`${container.name} ${problem}`);
    }
  }
  for (const object of objects) {
    if (object.kind === 'Secret') problems.push(`${called(object)}: no Secret belongs into the repository`);
    if (object.kind !== 'ConfigMap') continue;
    for (const [file, text] of Object.entries(object.data ?? {})) {
      if (/:\/\/[^/\s]*:[^/\s]+@/.test(text)) problems.push(`${called(object)}: ${file} holds a password in an address`);
    }
  }
  const denied = objects.some((o) => o.kind === 'NetworkPolicy' && Object.keys(o.spec.podSelector).length === 0 &&
    ['Ingress', 'Egress'].every((type) => o.spec.policyTypes?.includes(type)) && !o.spec.ingress && !o.spec.egress);
  if (!denied) problems.push('no NetworkPolicy that denies everything by default');
  return problems;
}

// ---- what objects say of each other

const selects = (selector, labels) =>
  Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => labels?.[key] === value) &&
  (selector?.matchExpressions ?? []).every(({ key, operator, values }) => operator === 'In' && values.includes(labels?.[key]));

function volumeProblems({ object, pod }, find) {
  const problems = [];
  const claims = (object.spec.volumeClaimTemplates ?? []).map((claim) => claim.metadata.name);
  const volumes = new Set([...(pod.volumes ?? []).map((v) => v.name), ...claims]);
  for (const volume of pod.volumes ?? []) {
    if (volume.configMap && !find('ConfigMap', volume.configMap.name)) problems.push(`no ConfigMap ${volume.configMap.name}`);
    if (volume.persistentVolumeClaim && !find('PersistentVolumeClaim', volume.persistentVolumeClaim.claimName)) problems.push(`no claim ${volume.persistentVolumeClaim.claimName}`);
  }
  for (const container of containersOf(pod)) {
    const ports = new Set((container.ports ?? []).map((p) => p.name));
    for (const mount of container.volumeMounts ?? []) if (!volumes.has(mount.name)) problems.push(`${container.name} mounts ${mount.name}, which is no volume`);
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
      const port = (container[probe]?.httpGet ?? container[probe]?.tcpSocket)?.port;
      if (typeof port === 'string' && !ports.has(port)) problems.push(`${container.name}'s ${probe} asks the port ${port}, which it has not`);
    }
  }
  return problems;
}

export function referenceProblems(objects) {
  const problems = [];
  const find = (kind, name) => objects.find((o) => o.kind === kind && o.metadata.name === name);
  const pods = podTemplates(objects);
  const matching = (selector) => pods.filter(({ template }) => selects(selector, template.metadata?.labels));
  const selectorProblem = (at, selector) => matching(selector).length === 0 && problems.push(`${at}: selects no pod of ours`);
  for (const entry of pods) {
    for (const problem of volumeProblems(entry, find)) problems.push(`${entry.owner}: ${problem}`);
    const account = entry.pod.serviceAccountName;
    if (account && !find('ServiceAccount', account)) problems.push(`${entry.owner}: no ServiceAccount ${account}`);
    const selector = entry.object.spec.selector;
    if (selector && !selects(selector, entry.template.metadata?.labels)) problems.push(`${entry.owner}: does not select its own pods`);
  }
  for (const object of objects) {
    const at = called(object);
    if (object.kind === 'Service') {
      selectorProblem(at, { matchLabels: object.spec.selector });
      const ports = matching({ matchLabels: object.spec.selector }).flatMap(({ pod }) => containersOf(pod).flatMap((c) => c.ports ?? []));
      for (const port of object.spec.ports) if (!ports.some((p) => p.name === port.targetPort)) problems.push(`${at}: no pod has the port ${port.targetPort}`);
    }
    if (object.kind === 'PodDisruptionBudget') selectorProblem(at, object.spec.selector);
    if (object.kind === 'HorizontalPodAutoscaler' && !find(object.spec.scaleTargetRef.kind, object.spec.scaleTargetRef.name)) problems.push(`${at}: its target does not exist`);
    if (object.kind === 'NetworkPolicy') {
      for (const peer of [{ podSelector: object.spec.podSelector }, ...(object.spec.ingress ?? []).flatMap((r) => r.from ?? []), ...(object.spec.egress ?? []).flatMap((r) => r.to ?? [])]) {
        if (peer.podSelector && !peer.namespaceSelector && Object.keys(peer.podSelector).length) selectorProblem(at, peer.podSelector);
      }
    }
    if (object.kind === 'Ingress') {
      for (const { backend } of object.spec.rules.flatMap((r) => r.http.paths)) if (!find('Service', backend.service.name)) problems.push(`${at}: no Service ${backend.service.name}`);
    }
    for (const trigger of object.kind === 'ScaledJob' ? object.spec.triggers : []) {
      if (!find('TriggerAuthentication', trigger.authenticationRef?.name)) problems.push(`${at}: no TriggerAuthentication ${trigger.authenticationRef?.name}`);
    }
  }
  return problems;
}

// ---- command lines of our programs

/// Flags and commands as `PROGRAM [COMMAND] --help` lists them, against what the containers are started with.
export function commandProblems(objects, helpOf) {
  const problems = [];
  for (const { owner, pod } of podTemplates(objects)) {
    for (const container of containersOf(pod)) {
      const program = /^(ignition-hub|ignition-agent|xinfer-cli)\b/.exec(path.basename(container.image))?.[1];
      if (!program) continue;
      for (const problem of argumentProblems(program, container.args ?? [], helpOf)) problems.push(`${owner}: ${problem}`);
    }
  }
  return problems;
}

/// Names, kinds and bounds of a settings file against the table that `ignition-hub settings` prints.
export function settingProblems(yaml, table) {
  const rows = new Map([...table.matchAll(/^(\S+)\s+(text|switch|number|list)\s+(.*?)(?: \((-?\d+) to (-?\d+)\))?$/gm)].map(([, name, kind, , low, high]) => [name, { kind, low, high }]));
  const problems = [];
  const walk = (value, name) => {
    const row = rows.get(name);
    if (!row && value !== null && typeof value === 'object' && !Array.isArray(value)) {
      for (const [key, child] of Object.entries(value)) walk(child, name ? `${name}.${key}` : key);
    } else if (!row) {
      problems.push(`there is no setting ${name}`);
    } else {
      const fits = { text: typeof value === 'string', switch: typeof value === 'boolean' || value === 'on' || value === 'off', list: Array.isArray(value), number: Number.isInteger(value) && value >= +row.low && value <= +row.high };
      if (!fits[row.kind]) problems.push(`${name}: ${JSON.stringify(value)} is no ${row.kind}${row.low ? ` from ${row.low} to ${row.high}` : ''}`);
    }
  };
  if (rows.size === 0) return ['ignition-hub settings prints no table'];
  walk(YAML.parse(yaml) ?? {}, '');
  return problems;
}
