// The repository's own rules, checked. usage: node rules.mjs RULE (includes, files, docs, operators, packages); exit 77 is SKIP.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const root = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..');
const maxLines = 800;
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');
const exists = (file) => fs.existsSync(path.join(root, file));
const problems = [];
const report = (file, line, message) => problems.push(`${file}${line ? `:${line}` : ''}: ${message}`);

// Tracked and new files; in an unpacked archive without git, all that are not build products.
function listFiles() {
  try {
    const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return [...new Set(listed.split('\n'))].filter((file) => file && exists(file));
  } catch {
    const skipped = new Set(['build', 'node_modules', '.git', '.cache']);
    const walk = (folder) => fs.readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const file = path.join(folder, entry.name);
      return entry.isDirectory() ? (skipped.has(entry.name) ? [] : walk(file)) : [file];
    });
    return walk('.');
  }
}

const files = listFiles();
const isText = (file) => !/\.(png|jpe?g|engine|onnx|npy|pb|bin|ico|woff2?)$/.test(file);

// ---- includes: src/X may include what CMakeLists.txt says that X links, transitively; base is open to all.

function moduleTable() {
  const table = {};
  for (const [, kind, body] of read('CMakeLists.txt').matchAll(/^(module|app|tool)\(([^)]*)\)/gm)) {
    const words = body.trim().split(/\s+/);
    const uses = words.slice(words.indexOf('USES') + 1);
    const end = uses.indexOf('LINKS');
    table[kind === 'module' ? words[0] : `${kind} ${words[0]}`] = words.includes('USES') ? uses.slice(0, end < 0 ? undefined : end) : [];
  }
  return table;
}

function closure(table, name, seen = new Set(['base'])) {
  for (const used of table[name] ?? []) {
    if (seen.has(used)) continue;
    seen.add(used);
    closure(table, used, seen);
  }
  return seen;
}

// The public headers belong to the module that implements them.
function ownerOf(header) {
  const [, folder, file] = /^xinfer\/(?:(\w+)\/)?(.*)$/.exec(header) ?? [];
  if (file === undefined) return header.split('/')[0];
  const owners = { core: 'runtime', hub: 'hub', zoo: 'zoo', 'error.h': 'base', 'target.h': 'target', 'image.h': 'zoo', 'c_api.h': 'runtime' };
  return owners[folder ?? file] ?? null;
}

function checkIncludes() {
  const table = moduleTable();
  const compiler = ['ir', 'onnx', 'passes', 'forge', 'schedule', 'codegen', 'compiler'];
  for (const small of ['runtime', 'hub', 'zoo', 'engine']) {
    for (const used of closure(table, small)) if (compiler.includes(used)) report('CMakeLists.txt', 0, `${small} must stay free of the compiler, but uses ${used}`);
  }
  for (const used of closure(table, 'server')) if ([...compiler, 'runtime'].includes(used)) report('CMakeLists.txt', 0, `the server must never touch a model or an engine, but uses ${used}`);
  for (const file of files) {
    const [, folder, name] = /^(src|apps|tools)\/([^/]+)\/.*\.(?:cpp|h|inc)$/.exec(file) ?? [];
    if (!name) continue;
    const self = folder === 'src' ? name : `${folder.slice(0, -1)} ${name}`;
    if (!table[self]) {
      report(file, 0, `${folder}/${name} has no line in CMakeLists.txt`);
      continue;
    }
    const allowed = closure(table, self);
    read(file).split('\n').forEach((text, i) => {
      const header = /^\s*#\s*include\s*[<"]([^>"]+\/[^>"]+)[>"]/.exec(text)?.[1];
      if (!header) return;
      const owner = ownerOf(header);
      if (owner && table[owner] && owner !== self && !allowed.has(owner)) report(file, i + 1, `${self} may not include ${header}: CMakeLists.txt gives it ${[...allowed].join(', ')}`);
    });
  }
  for (const file of files.filter((f) => /^include\/.*\.h$/.test(f))) {
    read(file).split('\n').forEach((text, i) => {
      const header = /^\s*#\s*include\s*"([^"]+)"/.exec(text)?.[1];
      if (header && !header.startsWith('xinfer/')) report(file, i + 1, `a public header includes only public headers, not ${header}`);
    });
  }
}

// ---- files: length, first line, words and paths that must not be committed.

function checkFiles() {
  const self = 'tests/style/rules.mjs';
  const words = new RegExp(['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX:', 'HA' + 'CK:'].map((word) => `\\b${word}`).join('|'));
  const paths = new RegExp('(^|[\\s"\'`(=])/(' + ['work', 'root', 'home/[a-z]+'].join('|') + ')/');
  const hosts = /https?:\/\/[^\s"'/]*(registry|artifactory)[^\s"'/]*/;
  const vague = /\b(class|struct)\s+\w*(Manager|Helper|Utils|Impl)\b/;
  for (const file of files.filter(isText)) {
    const lines = read(file).split('\n');
    const isSource = /\.(cpp|h|inc|mjs|proto|fbs|cmake)$/.test(file);
    if (isSource && lines.length > maxLines + 1) report(file, 0, `${lines.length - 1} lines; at most ${maxLines}: split it along its parts`);
    if (file.endsWith('.h') && !/^\/[\/*][\/!*]* ?\S/.test(lines[0])) report(file, 1, 'a header begins with one line that says what it is');
    if (file === self) continue;
    lines.forEach((text, i) => {
      if (isSource && words.test(text)) report(file, i + 1, 'unfinished work is an issue, not a comment');
      if (paths.test(text)) report(file, i + 1, 'an absolute path of one machine');
      if (hosts.test(text) && !file.startsWith('LICENSE')) report(file, i + 1, "a package registry's host");
      if (/\.(cpp|h)$/.test(file) && vague.test(text)) report(file, i + 1, 'a name that says nothing (Manager, Helper, Utils, Impl)');
    });
  }
  if (/"resolved": "http/.test(read('package-lock.json'))) report('package-lock.json', 0, 'records download addresses; .npmrc has the setting that leaves them out');
}

// ---- docs: links resolve, paths exist, commands exist.

function checkDocs() {
  const pages = files.filter((file) => /^(README\.md|docs\/.*\.md)$/.test(file));
  const commands = new Set([...read('dev').matchAll(/^ {2}([a-z]+)(?: \| [^)]*)?\)/gm)].map((m) => m[1]));
  for (const page of pages) {
    const lines = read(page).split('\n');
    lines.forEach((text, i) => {
      for (const [, target] of text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
        if (!/^[a-z]+:/.test(target) && !exists(path.join(path.dirname(page), target))) report(page, i + 1, `the link ${target} leads nowhere`);
      }
      for (const [, command] of text.matchAll(/\.\/dev ([a-z]+)/g)) if (!commands.has(command)) report(page, i + 1, `./dev has no command ${command}`);
      for (const [, named] of text.matchAll(/`((?:src|apps|include|tests|bench|tools|docs|examples|catalog|cmake|deploy)\/[\w./-]*\w)`/g)) {
        if (!exists(named)) report(page, i + 1, `${named} does not exist`);
      }
      checkProgramCommands(page, i + 1, text);
    });
    if (page.startsWith('docs/') && !lines.some((text) => /^#+ .*\bWhy\b/i.test(text))) report(page, 0, 'has no section that says why');
  }
  for (const file of files.filter((f) => /^(src|include|apps|tests|cmake|catalog|CMakeLists)/.test(f) && isText(f) && !f.startsWith('tests/style/'))) {
    read(file).split('\n').forEach((text, i) => {
      for (const [named] of text.matchAll(/docs\/[\w-]+\.md/g)) if (!exists(named)) report(file, i + 1, `${named} does not exist`);
    });
  }
  for (const page of pages.filter((p) => p.startsWith('docs/'))) {
    if (!read('README.md').includes(page)) report('README.md', 0, `does not lead to ${page}`);
  }
}

// `xinfer-cli build`, `ignition-hub serve`: asked of the programs themselves, where they are built.
const programs = new Map();
function subcommands(program, parents = []) {
  const key = [program, ...parents].join(' ');
  if (!programs.has(key)) {
    const binary = path.join(process.env.XI_BINARY_DIR ?? path.join(root, 'build/release'), 'bin', program);
    let known = null;
    if (fs.existsSync(binary)) {
      const help = execFileSync(binary, [...parents, '--help'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
      const section = /subcommands?:\n([\s\S]*)/i.exec(help)?.[1] ?? '';
      known = new Set([...section.matchAll(/^ {1,4}([a-z][\w-]*)/gm)].map((m) => m[1]));
    }
    programs.set(key, known);
  }
  return programs.get(key);
}

function checkProgramCommands(page, line, text) {
  for (const [, program, first, second] of text.matchAll(/(?:^|[`\s/])(xinfer-cli|ignition-hub|ignition-agent) ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?/g)) {
    if (!/^\s{4}|^\$|`/.test(text) && !/^(xinfer-cli|ignition-)|bin\//.test(text.trim())) continue;
    const known = subcommands(program);
    if (!known || known.size === 0) continue;
    if (!known.has(first)) report(page, line, `${program} has no command ${first}`);
    else if (second && first === 'hub' && !subcommands(program, [first]).has(second)) report(page, line, `${program} hub has no command ${second}`);
  }
}

// ---- operators: docs/operators.md has the rows that the table has.

function checkOperators() {
  const tool = path.join(process.env.XI_BINARY_DIR ?? path.join(root, 'build/release'), 'bin/list_operators');
  if (!fs.existsSync(tool)) process.exit(77);
  const page = 'docs/operators.md';
  const rows = (text) => text.split('\n').filter((line) => /^\| (?!operator |case )[A-Za-z][\w.]* \| [a-z]+ \|$/.test(line));
  const known = rows(execFileSync(tool, { encoding: 'utf8' }));
  const written = new Set(rows(read(page)));
  for (const row of known) if (!written.delete(row)) report(page, 0, `lacks the row "${row}" (build/release/bin/list_operators prints them)`);
  for (const row of written) report(page, 0, `has the row "${row}", but the table of operators does not`);
}

// ---- packages: the list in ./dev and in package.json is the one that docs/dependencies.md explains.

function checkPackages() {
  const debian = /^packages=\(([\s\S]*?)^\)/m.exec(read('dev'))[1].replace(/#.*/g, '').split(/\s+/).filter(Boolean);
  const later = [...read('dev').matchAll(/^\w+_packages=\(([^)]*)\)/gm)].flatMap((m) => m[1].split(/\s+/));
  const npm = JSON.parse(read('package.json'));
  if (npm.overrides) report('package.json', 0, 'npm 9 (Debian 12) fails on overrides that are folders: depend on a folder in tools/npm instead');
  const needed = [...debian, ...later, ...Object.keys({ ...npm.dependencies, ...npm.devDependencies })];
  const page = 'docs/dependencies.md';
  const explained = [...read(page).matchAll(/^\| ([^|]+) \|/gm)].flatMap((m) => [...m[1].matchAll(/`([^`]+)`/g)].map((n) => n[1]));
  for (const name of needed) if (!explained.includes(name)) report(page, 0, `says nothing about ${name}, which ./dev or package.json installs`);
  for (const name of explained) if (!needed.includes(name) && !['nodejs', 'npm'].includes(name)) report(page, 0, `explains ${name}, which nothing installs`);
}

const rules = { includes: checkIncludes, files: checkFiles, docs: checkDocs, operators: checkOperators, packages: checkPackages };
const rule = rules[process.argv[2]];
if (!rule) {
  console.error(`usage: node rules.mjs ${Object.keys(rules).join('|')}`);
  process.exit(2);
}
rule();
for (const problem of problems) console.log(problem);
console.log(`${process.argv[2]}: ${problems.length} problem${problems.length === 1 ? '' : 's'} in ${files.length} files`);
process.exit(problems.length ? 1 : 0);
