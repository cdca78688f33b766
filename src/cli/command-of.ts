import { usageError } from "./cli-error.ts";
import type { CommandText, Program } from "./command.ts";
import { meant } from "./nearest.ts";

/** The command that the first words name. Throws a usage error that names the nearest one. */
export function commandOf<Named extends CommandText>(
  { name: program }: Program,
  commands: readonly Named[],
  words: readonly string[],
): Named {
  const [first = "", second = ""] = words;
  const found =
    commands.find(({ name }) => name === `${first} ${second}`) ?? commands.find(({ name }) => name === first);
  if (found !== undefined) return found;
  const inGroup = commands.filter(({ name }) => name.startsWith(`${first} `)).map(({ name }) => name);
  const word = inGroup.length === 0 || second === "" ? first : `${first} ${second}`;
  const known = inGroup.length === 0 ? commands.map(({ name }) => name) : inGroup;
  const hint = inGroup.length > 0 && second === "" ? ` There are ${inGroup.join(", ")}.` : meant(word, known);
  throw usageError(`There is no command ${JSON.stringify(word)}.${hint} See: ${program} --help`);
}
