// What the built programs say of themselves.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

export const source = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../../..');
export const bin = path.join(process.env.XI_BINARY_DIR ?? path.join(source, 'build/release'), 'bin');

/// Standard output, or null where the program refuses the command.
export function output(program, args) {
  const file = path.join(bin, program);
  if (!fs.existsSync(file)) throw new Error(`${program} is not built`);
  const run = spawnSync(file, args, { encoding: 'utf8' });
  return run.status === 0 ? run.stdout : null;
}

/// What PROGRAM [COMMAND] --help prints; null where there is no such command (asked for its help, the parser gives the program's).
export function helpOf(program, [command]) {
  const help = output(program, ['--help']);
  if (!command) return help;
  const listed = /subcommands?:\n([\s\S]*)/i.exec(help)?.[1] ?? '';
  return new RegExp(`^ {1,4}${command}\\b`, 'm').test(listed) ? output(program, [command, '--help']) : null;
}
