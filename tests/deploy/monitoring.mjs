// usage: node monitoring.mjs METRICS HUB: names and labels in dashboard and alerts against what a hub gave and what its
// program can give (counters appear with the first event).
import fs from 'node:fs';
import path from 'node:path';

const source = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..');
const [metricsFile, hub] = process.argv.slice(2);
const read = (file) => fs.readFileSync(path.join(source, file), 'utf8');
const problems = [];

const given = new Map(); // name: labels seen
for (const [, name, labels] of fs.readFileSync(metricsFile, 'utf8').matchAll(/^(\w+)(?:\{(.*)\})? [^ ]+$/gm)) {
  const known = given.get(name) ?? given.set(name, new Set()).get(name);
  for (const [, label] of (labels ?? '').matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)) known.add(label);
}
const inProgram = new Set(fs.readFileSync(hub, 'latin1').match(/xinfer_[a-z_]+/g));
const fromPrometheus = ['job', 'instance'];

// Names in an expression, each with the labels of the selector that follows it.
function check(where, expression) {
  for (const [, name, selector] of expression.matchAll(/\b(xinfer_\w+)(?:\{([^}]*(?:\{id\}[^}]*)*)\})?/g)) {
    const base = inProgram.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
    if (!inProgram.has(base)) problems.push(`${where}: the hub has no metric ${name}`);
    const labels = given.get(name);
    if (!labels) continue; // not happened yet on this hub
    for (const [, label] of (selector ?? '').matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)) {
      if (!labels.has(label) && !fromPrometheus.includes(label)) problems.push(`${where}: ${name} has no label ${label}`);
    }
  }
}

const dashboard = JSON.parse(read('deploy/grafana/dashboard.json'));
const expressions = dashboard.panels.flatMap((p) => (p.targets ?? []).map((t) => [`dashboard, "${p.title}"`, t.expr]));
const rules = [...read('deploy/prometheus/alerts.yaml').matchAll(/alert: (\w+)\n\s+expr: (?:\|\n((?:\s{10,}.*\n)+)|(.*)\n)/g)].map(([, name, block, line]) => [`alert ${name}`, block ?? line]);
for (const [where, expression] of [...expressions, ...rules]) check(where, expression);
if (expressions.length < 10 || rules.length < 5) problems.push(`only ${expressions.length} panels and ${rules.length} alerts were found`);
const ids = dashboard.panels.map((p) => p.id);
if (new Set(ids).size !== ids.length) problems.push('dashboard: two panels of one id');

// Each alert is explained to operators, and none that is gone.
const alerts = [...read('deploy/prometheus/alerts.yaml').matchAll(/alert: (\w+)/g)].map((m) => m[1]);
const explained = [...read('docs/operations.md').matchAll(/^\| `(\w+)` \|/gm)].map((m) => m[1]);
for (const name of alerts) if (!explained.includes(name)) problems.push(`docs/operations.md does not explain the alert ${name}`);

// The check finds what it is for.
const before = problems.length;
check('planted', 'xinfer_no_such_metric');
check('planted', 'xinfer_queue_depth_by_target{class="a"}');
if (problems.length !== before + 2) problems.push('a planted metric or label was accepted');
else problems.length = before;

for (const problem of problems) console.log(problem);
console.log(`${expressions.length} expressions of the dashboard, ${rules.length} alerts, ${given.size} series names: ${problems.length} problems`);
process.exit(problems.length ? 1 : 0);
