import { Argument, Command as Branch, Option as BranchOption, type CommanderError } from "commander";
import { didYouMean } from "../../domain/nearest.ts";
import { usageError } from "../output/cli-error.ts";
import { Arguments } from "./arguments.ts";
import { type CommandText, commonFormats, type Option, type Options, type Program } from "./command-text.ts";

/** A parsed command line: a command to run, or a text to print. `isAsked` is false for a line that is incomplete. */
export type ParsedLine<Named> =
  | { readonly kind: "run"; readonly command: Named; readonly given: Arguments }
  | { readonly kind: "help"; readonly words: readonly string[]; readonly isAsked: boolean }
  | { readonly kind: "version" };

/** Parses a command line. Throws a usage error that suggests the command or option that was probably meant. */
export function parseCommandLine<Named extends CommandText>(
  program: Program,
  commands: readonly Named[],
  words: readonly string[],
): ParsedLine<Named> {
  if (words[0] === "help") {
    return { kind: "help", words: groupOrCommand(program, commands, words.slice(1)), isAsked: true };
  }
  if (words[0] === "version" && program.version !== undefined) {
    return { kind: "version" };
  }
  let parsed: ParsedLine<Named> | undefined;
  const tree = treeOf(program, commands, (command, given) => {
    parsed = { kind: "run", command, given };
  });
  try {
    tree.parse([...words], { from: "user" });
  } catch (error) {
    if (!(error instanceof Stopped)) {
      throw error;
    }
    const { code } = error.reason;
    if (code === "commander.version") {
      return { kind: "version" };
    }
    if (code === "commander.helpDisplayed") {
      return { kind: "help", words: wordsOf(error.branch), isAsked: true };
    }
    if (code === "commander.help") {
      return { kind: "help", words: wordsOf(error.branch), isAsked: false };
    }
    throw usageError(problemOf(program, commands, error));
  }
  if (parsed === undefined) {
    throw usageError(`See: ${program.name} --help`);
  }
  return parsed;
}

/**
 * Builds the tree of commander's commands, which shell completion reads too. The common options are declared on every
 * branch, so that they may stand anywhere in the line.
 */
export function treeOf<Named extends CommandText>(
  program: Program,
  commands: readonly Named[],
  chosen: (command: Named, given: Arguments) => void,
): Branch {
  const root = branchOf(new Branch(program.name), program.options);
  if (program.version !== undefined) {
    root.version(program.version, "-v, --version");
  }
  for (const command of commands) {
    const words = command.name.split(" ");
    let parent = root;
    for (const word of words.slice(0, -1)) {
      parent = parent.commands.find((branch) => branch.name() === word) ?? groupIn(parent, word, program, commands);
    }
    const leaf = branchOf(parent.command(words.at(-1) ?? ""), { ...command.options, ...withFormats(program, command) });
    leaf.description(command.summary);
    for (const positional of command.positionals) {
      leaf.addArgument(argumentOf(positional));
    }
    leaf.action(() => chosen(command, givenTo(leaf)));
  }
  return root;
}

function groupIn(parent: Branch, word: string, program: Program, commands: readonly CommandText[]): Branch {
  const names = commands.flatMap(({ name }) => (name.startsWith(`${word} `) ? [name.slice(word.length + 1)] : []));
  return branchOf(parent.command(word), program.options).description(names.join(", "));
}

function withFormats({ options }: Program, { formats = commonFormats }: CommandText): Options {
  const { output } = options;
  return output === undefined ? options : { ...options, output: { ...output, choices: formats } };
}

/** Thrown in place of commander's own reaction, which would print and exit the process. */
class Stopped extends Error {
  readonly branch: Branch;
  readonly reason: CommanderError;

  constructor(branch: Branch, reason: CommanderError) {
    super(reason.message);
    this.branch = branch;
    this.reason = reason;
  }
}

function branchOf(branch: Branch, options: Options): Branch {
  const silent = () => undefined;
  branch
    .exitOverride((reason) => {
      throw new Stopped(branch, reason);
    })
    .configureOutput({ writeOut: silent, writeErr: silent, outputError: silent })
    .enablePositionalOptions()
    .helpCommand(false)
    .allowExcessArguments(false)
    .helpOption("-h, --help", "says what the command does");
  for (const [name, option] of Object.entries(options)) {
    branch.addOption(optionOf(name, option));
  }
  return branch;
}

function optionOf(name: string, { type, short, multiple, choices, help }: Option): BranchOption {
  const flags = `${short === undefined ? "" : `-${short}, `}--${name}${type === "string" ? " <value>" : ""}`;
  const option = new BranchOption(flags, help);
  if (multiple === true) {
    option.argParser((value: string, before: string[] = []) => [...before, value]);
  }
  // The command checks the value itself, in any letter case and with its own advice; commander only completes it.
  if (choices !== undefined) {
    option.argChoices = [...choices];
  }
  return option;
}

/** `ID`, `ID?`, `ID...` or `ID...?`. */
function argumentOf(positional: string): Argument {
  const isOptional = positional.endsWith("?");
  const name = isOptional ? positional.slice(0, -1) : positional;
  return new Argument(isOptional ? `[${name}]` : `<${name}>`);
}

/** Of an option that is given twice, the one nearest to the command wins. */
function givenTo(leaf: Branch): Arguments {
  const values = new Map<string, unknown>();
  for (const branch of pathOf(leaf)) {
    for (const option of branch.options) {
      const value: unknown = branch.getOptionValue(option.attributeName());
      if (value !== undefined) {
        values.set(option.name(), value);
      }
    }
  }
  return new Arguments(leaf.args, values);
}

function pathOf(branch: Branch): readonly Branch[] {
  return branch.parent === null ? [branch] : [...pathOf(branch.parent), branch];
}

function wordsOf(branch: Branch): readonly string[] {
  return pathOf(branch)
    .slice(1)
    .map((one) => one.name());
}

/** Turns commander's error into one sentence with a suggestion. */
function problemOf(program: Program, commands: readonly CommandText[], { branch, reason }: Stopped): string {
  const spelling = [program.name, ...wordsOf(branch)].join(" ");
  if (reason.code === "commander.unknownCommand") {
    return unknownCommand(program, commands, [...wordsOf(branch), branch.args[0] ?? ""]);
  }
  const command = commands.find(({ name }) => name === wordsOf(branch).join(" "));
  if (command !== undefined && /Argument/i.test(reason.code) && reason.code !== "commander.optionMissingArgument") {
    const words = command.positionals.map((word) => (word.endsWith("?") ? `[${word.slice(0, -1)}]` : word));
    const expected = words.length === 0 ? "no words" : words.join(" ");
    return `${spelling} takes ${expected}, and was given ${branch.args.length === 0 ? "nothing" : branch.args.length}. See: ${spelling} --help`;
  }
  const [what = "", suggestion] = reason.message.replace(/^error: /, "").split("\n");
  const unknown = /^unknown option '(-[^']*)'/.exec(what)?.[1];
  const valueless = /^option '(?:-\w, )?(--[\w-]+) .* argument missing/.exec(what)?.[1];
  if (valueless !== undefined) {
    return `${spelling}: ${valueless} needs a value. See: ${spelling} --help`;
  }
  if (unknown === undefined) {
    return `${spelling}: ${what.replace(/\.$/, "")}. See: ${spelling} --help`;
  }
  const like = suggestion === undefined ? "" : ` ${suggestion.slice(1, -1)}`;
  return `${spelling} takes no ${unknown}.${like} See: ${spelling} --help`;
}

function unknownCommand(program: Program, commands: readonly CommandText[], words: readonly string[]): string {
  const [typed = "", group] = [words.at(-1), words.slice(0, -1).join(" ")];
  const names = commands.map(({ name }) => name);
  const inGroup = names.flatMap((name) => (name.startsWith(`${group} `) ? [name.slice(group.length + 1)] : []));
  const known = group === "" ? [...names, ...new Set(names.flatMap((name) => name.split(" ").slice(0, -1)))] : inGroup;
  const same = known.find((name) => name === synonyms.get(typed));
  const like = same === undefined ? didYouMean(typed, known) : ` Did you mean ${same}?`;
  const there = like === "" && group !== "" ? ` There are ${inGroup.join(", ")}.` : like;
  const help = `${program.name}${group && ` ${group}`} --help`;
  return `There is no command ${JSON.stringify(words.join(" "))}.${there} See: ${help}`;
}

/** The names that other command lines have for these commands. */
const synonyms: ReadonlyMap<string, string> = new Map([
  ["list", "ls"],
  ["delete", "rm"],
  ["remove", "rm"],
  ["show", "get"],
  ["describe", "get"],
  ["create", "new"],
  ["init", "new"],
  ["start", "run"],
  ["execute", "run"],
  ["exec", "run"],
  ["deploy", "push"],
  ["logs", "watch"],
  ["cancel", "stop"],
  ["check", "validate"],
  ["lint", "validate"],
]);

function groupOrCommand(
  program: Program,
  commands: readonly CommandText[],
  words: readonly string[],
): readonly string[] {
  const name = words.filter((word) => !word.startsWith("-")).join(" ");
  if (name === "" || commands.some((command) => command.name === name || command.name.startsWith(`${name} `))) {
    return name === "" ? [] : name.split(" ");
  }
  throw usageError(unknownCommand(program, commands, name.split(" ")));
}
