import { parseArgs } from "node:util";
import { usageError } from "./cli-error.ts";
import type { CommandText, Options, Program } from "./command.ts";
import { meant } from "./nearest.ts";

/** What was given to a command: its words and its options, each of which the command declares. */
export class Arguments {
  readonly positionals: readonly string[];
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(positionals: readonly string[], values: Readonly<Record<string, unknown>>) {
    this.positionals = positionals;
    this.#values = values;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === "string" ? value : undefined;
  }

  texts(name: string): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value : [];
  }

  isSet(name: string): boolean {
    return this.#values[name] === true;
  }

  /** A word that the command declares as one that cannot be left out. */
  word(index: number): string {
    return this.positionals[index] ?? "";
  }

  /** A whole number. Throws a usage error. */
  number(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (!/^\d{1,9}$/.test(text)) throw usageError(`--${name} must be a whole number, not ${JSON.stringify(text)}.`);
    return Number(text);
  }
}

/** Reads the words behind a command's name. Throws a usage error that names the nearest option. */
export function parseArguments(program: Program, command: CommandText, words: readonly string[]): Arguments {
  const spelling = `${program.name} ${command.name}`;
  const { values, positionals } = parse(spelling, words, { ...program.options, ...command.options });
  const given = new Arguments(positionals, values);
  if (!given.isSet("help")) checkCount(spelling, command, positionals.length);
  return given;
}

function parse(spelling: string, words: readonly string[], options: Options) {
  try {
    const told = Object.entries(options).map(([name, { type, short, multiple = false }]) => {
      return [name, { type, multiple, ...(short !== undefined && { short }) }] as const;
    });
    return parseArgs({ args: [...words], options: Object.fromEntries(told), allowPositionals: true });
  } catch (error) {
    if (!(error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS")))
      throw error;
    const unknown = /^Unknown option '(-[^']*)'/.exec(error.message)?.[1];
    if (unknown === undefined) throw usageError(`${error.message} See: ${spelling} --help`);
    const known = Object.keys(options).map((name) => `--${name}`);
    throw usageError(`${spelling} takes no ${unknown}.${meant(unknown, known)}`);
  }
}

function checkCount(spelling: string, { positionals }: CommandText, count: number): void {
  const least = positionals.filter((word) => !word.endsWith("?"));
  const isOpen = positionals.some((word) => /\.\.\.\??$/.test(word));
  if (count >= least.length && (isOpen || count <= positionals.length)) return;
  const expected = positionals.length === 0 ? "no words" : positionals.join(" ");
  throw usageError(`${spelling} takes ${expected}, and was given ${count}. See: ${spelling} --help`);
}
