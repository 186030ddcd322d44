// Command lines of our programs against what their --help lists; helpOf is the one of programs.mjs.
export function argumentProblems(program, given, helpOf) {
  const commands = given[0] && !given[0].startsWith('-') ? [given[0]] : [];
  const help = helpOf(program, commands);
  if (help === null) return [`${program} has no command ${commands.join(' ')}`];
  const flags = new Set(help.match(/--[a-z][\w-]*/g) ?? []);
  return given.filter((a) => a.startsWith('--')).map((a) => a.split('=')[0]).filter((flag) => !flags.has(flag)).map((flag) => `${[program, ...commands].join(' ')} has no ${flag}`);
}
