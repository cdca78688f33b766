import type { CommandText, Options, Program } from "./command.ts";
import { tableOf } from "./output.ts";

/** What there is, and what holds for all of it. */
export function overview(commands: readonly CommandText[]): string {
  return `Runs and writes workflows on a Flowcall server.

usage: flowcall COMMAND [OPTIONS]

${commandLines(commands)}

FLOWCALL_URL and FLOWCALL_API_KEY name the server and the key; flowcall profile add remembers them.
flowcall COMMAND --help says more of one. Exit codes: 0 done, 1 error, 2 usage, 4 not authorised,
5 the execution ended and is not COMPLETED, 6 it still runs.`;
}

/** What there is, a line each. */
export function commandLines(commands: readonly CommandText[]): string {
  return indented(
    tableOf(commands, [
      ["COMMAND", ({ name }) => name],
      ["", ({ summary }) => summary],
    ]),
  );
}

/** One command with its options and an example. */
export function helpOf(
  program: Program,
  { name, summary, positionals, options, example, formats }: CommandText,
): string {
  const words = positionals.map((word) => (word.endsWith("?") ? `[${word.slice(0, -1)}]` : word));
  return `${summary}

usage: ${[program.name, name, ...words, "[OPTIONS]"].join(" ")}

${indented(optionLines({ ...options, ...program.options }))}
${formats === undefined ? "" : `\n--output is ${formats.join(", ")}.\n`}
example:
  ${example.replaceAll("\n", "\n  ")}`;
}

function optionLines(options: Options): string {
  const lines = Object.entries(options).map(([name, { short, value, help }]) => {
    const spelling = `${short === undefined ? "    " : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
    return { spelling, help };
  });
  return tableOf(lines, [
    ["OPTION", ({ spelling }) => spelling],
    ["", ({ help }) => help],
  ]);
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, "  ");
}
