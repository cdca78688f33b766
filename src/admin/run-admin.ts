/**
 * `flowcall-admin`: what an operator does who has lost a key, or needs another organisation. There is no API for it, since
 * whoever may open the database needs no key.
 *
 * Invariants: it never migrates, and works with the tables of its own version alone. What it does is in the audit log, as
 * done by `operator`. A key is shown once, on stdout.
 */
import { readWords } from "../cli/command-line/command-tree.ts";
import { helpOf, overview } from "../cli/command-line/help.ts";
import { usageError } from "../cli/output/cli-error.ts";
import { type ExitCode, exitCodes } from "../cli/output/exit-codes.ts";
import { failureJson, failureText } from "../cli/output/failure.ts";
import { Output, type Sink } from "../cli/output/output.ts";
import { readFailure } from "../cli/output/read-failure.ts";
import { ConfigError, type Environment, readConfig } from "../config.ts";
import { type AdminCommand, admin } from "./admin-command.ts";
import { keyCreate, keyLs } from "./keys.ts";
import { openDatabase } from "./open-database.ts";
import { orgCreate, orgLs } from "./organizations.ts";

const groups = [
  { title: "Organisations", commands: [orgCreate, orgLs] },
  { title: "Keys", commands: [keyCreate, keyLs] },
];
const commands: readonly AdminCommand[] = groups.flatMap((group) => group.commands);

export type AdminSurroundings = {
  readonly words: readonly string[];
  /** The process's own where it is not set. */
  readonly environment?: Environment;
  readonly stdout: Sink;
  readonly stderr: Sink;
};

/** Runs one command line to its end. Whatever goes wrong is said on stderr, and never thrown. */
export async function runAdmin({ words, environment, stdout, stderr }: AdminSurroundings): Promise<ExitCode> {
  let isJson = false;
  try {
    const asked = readWords(admin, commands, words);
    if (asked.kind !== "run") {
      const isWhole = asked.kind === "version" || asked.words.length === 0;
      const help = isWhole ? overview(admin, groups, around) : helpOf(admin, commands, asked.words);
      const isAsked = asked.kind === "version" || asked.isAsked;
      (isAsked ? stdout : stderr).write(`${help}\n`);
      return isAsked ? exitCodes.done : exitCodes.usage;
    }
    const { command, given } = asked;
    isJson = given.isSet("json");
    const output = new Output({ format: isJson ? "json" : "text", stdout, stderr, environment: {} });
    const work = command.prepare(given, output);
    const { stores, close } = await openDatabase(configOf(environment));
    try {
      await work(stores);
    } finally {
      await close();
    }
    return exitCodes.done;
  } catch (error) {
    const failure = await readFailure(error);
    stderr.write(`${isJson ? JSON.stringify(failureJson(failure)) : failureText(failure)}\n`);
    return failure.exitCode;
  }
}

function configOf(environment: Environment | undefined) {
  try {
    return readConfig(environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw usageError(`These settings cannot be read:\n  ${error.problems.join("\n  ")}`);
  }
}

const around = {
  before: "Makes organisations, and keys for those that have lost theirs, in the database itself.",
  after: `It opens the database that the service would open: FLOWCALL_DATABASE_URL, or the one in FLOWCALL_DATA_DIR, whether the
service runs or not; so run it where the service runs, as its user, with its settings.
flowcall-admin COMMAND --help says more of one. Exit codes: 0 done, 1 error, 2 usage.`,
};
