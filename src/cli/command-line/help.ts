import { tableOf } from "../output/output.ts";
import type { CommandGroup, CommandText, Options, Program } from "./command-text.ts";

/** The texts before and after the list of commands. */
export type OverviewText = { readonly before: string; readonly after: string };

/** The help of the program: all commands by group. */
export function overview(program: Program, groups: readonly CommandGroup<CommandText>[], text: OverviewText): string {
  const width = Math.max(...groups.flatMap(({ commands }) => commands.map(({ name }) => name.length)));
  const lines = groups.map(({ title, commands }) => {
    return `${title}\n${commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join("\n")}`;
  });
  return `${text.before}

usage: ${program.name} COMMAND [OPTIONS]

${lines.join("\n\n")}

${text.after}`;
}

/** The help of one command, or the list of a group's commands. */
export function helpOf(program: Program, commands: readonly CommandText[], words: readonly string[]): string {
  const name = words.join(" ");
  const command = commands.find((candidate) => candidate.name === name);
  if (command !== undefined) {
    return commandHelp(program, command);
  }
  const group = commands.filter((candidate) => candidate.name.startsWith(`${name} `));
  const lines = tableOf(group, [
    ["COMMAND", (one) => one.name],
    ["", (one) => one.summary],
  ]);
  return `usage: ${program.name} ${name} COMMAND [OPTIONS]

${indented(lines)}

${program.name} ${name} COMMAND --help shows the help of one.`;
}

function commandHelp(program: Program, command: CommandText): string {
  const { name, summary, positionals, options, example, formats } = command;
  const words = positionals.map((word) => (word.endsWith("?") ? `[${word.slice(0, -1)}]` : word));
  return `${summary}

usage: ${[program.name, name, ...words, "[OPTIONS]"].join(" ")}

${indented(optionLines({ ...options, ...withFormats(program.options, formats) }))}

example:
  ${example.replaceAll("\n", "\n  ")}`;
}

function withFormats(options: Options, formats: readonly string[] | undefined): Options {
  const { output } = options;
  if (output === undefined || formats === undefined) {
    return options;
  }
  return { ...options, output: { ...output, help: formats.join(", ") } };
}

function optionLines(options: Options): string {
  const lines = Object.entries(options).map(([name, { short, value, help }]) => {
    const spelling = `${short === undefined ? "    " : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
    return { spelling, help };
  });
  return tableOf(
    [...lines, { spelling: "-h, --help", help: "says what the command does" }],
    [
      ["OPTION", ({ spelling }) => spelling],
      ["", ({ help }) => help],
    ],
  );
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, "  ");
}

/** Breaks long lines between words; a continued line is indented to the column in which its text began. */
export function wrapped(text: string, width = 80): string {
  return text
    .split("\n")
    .flatMap((line) => wrappedLine(line, width))
    .join("\n");
}

function wrappedLine(line: string, width: number): readonly string[] {
  if (line.length <= width) {
    return [line];
  }
  // Two blanks end a column. Examples stay whole, so that they can be copied.
  const [, before = "", rest = ""] = /^( *\S.*? {2,}| *)(.*)$/.exec(line) ?? [];
  if (before.length > width / 2 || rest.startsWith("flowcall ")) {
    return [line];
  }
  const lines: string[] = [];
  let current = before;
  for (const word of rest.split(" ")) {
    const isFirst = current.trimEnd() === before.trimEnd();
    if (!isFirst && current.length + 1 + word.length > width) {
      lines.push(current);
      current = " ".repeat(before.length) + word;
    } else {
      current += isFirst ? word : ` ${word}`;
    }
  }
  return [...lines, current];
}
