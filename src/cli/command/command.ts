import type { Arguments } from "../command-line/arguments.ts";
import { type CommandText, commonFormats, type Options } from "../command-line/command-text.ts";
import type { ExitCode } from "../output/exit-codes.ts";
import type { Context } from "./context.ts";

/** A command of `flowcall`: its help text, and what it does. */
export type Command = CommandText & { run(given: Arguments, context: Context): Promise<ExitCode> };

/** Options of every command. They may stand before or after its name. */
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

/** The option of commands that send one request. */
export const curlOption: Options = {
  curl: { type: "boolean", help: "prints the REST request for curl instead of sending it" },
};

export const accountOption: Options = {
  account: { type: "string", short: "a", value: "ACCOUNT", help: "the linked account" },
};

export const slugOption: Options = {
  slug: { type: "string", short: "s", value: "SLUG", help: "the integration that the workflow belongs to" },
};
