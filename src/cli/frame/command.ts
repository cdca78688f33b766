import type { ExitCode } from "../said/exit-codes.ts";
import type { Arguments } from "./arguments.ts";
import type { Context } from "./context.ts";

/** One option of a command line, and as a person is told of it. */
export type Option = {
  readonly type: "string" | "boolean";
  readonly short?: string;
  readonly multiple?: true;
  /** What stands for the value in a usage text. */
  readonly value?: string;
  /** What a shell completes the value by. */
  readonly choices?: readonly string[];
  readonly help: string;
};

export type Options = Readonly<Record<string, Option>>;

/** A command line: its name, what each of its commands takes, and its version. */
export type Program = { readonly name: string; readonly options: Options; readonly version?: string };

/** What a command is to the person who asks for help. */
export type CommandText = {
  /** The words that name it, as `workflow push`. */
  readonly name: string;
  readonly summary: string;
  /** Its words after the name: `ID`, `ID?` where it may be left out, `ID...` where it may repeat, or `ID...?`. */
  readonly positionals: readonly string[];
  readonly options: Options;
  readonly example: string;
  /** The values of `--output` that it takes; the common three if absent. */
  readonly formats?: readonly string[];
};

export type Command = CommandText & { run(given: Arguments, context: Context): Promise<ExitCode> };

/** Commands that belong together in a help text. */
export type CommandGroup<Named extends CommandText> = { readonly title: string; readonly commands: readonly Named[] };

export const commonFormats: readonly string[] = ["text", "json", "jsonl"];

/** What every command takes, before its name and behind it. */
export const commonOptions: Options = {
  output: {
    type: "string",
    short: "o",
    value: "FORMAT",
    choices: commonFormats,
    help: "text, json or jsonl (a JSON value a line)",
  },
  profile: { type: "string", value: "NAME", help: "the stored profile to use in place of the current one" },
  url: { type: "string", value: "URL", help: "the server, in place of the profile's" },
};

/** For commands that send one request. */
export const curlOption: Options = {
  curl: { type: "boolean", help: "prints the REST request for curl instead of sending it" },
};

export const accountOption: Options = {
  account: { type: "string", short: "a", value: "ACCOUNT", help: "the linked account" },
};

export const slugOption: Options = {
  slug: { type: "string", short: "s", value: "SLUG", help: "the integration that the workflow belongs to" },
};
