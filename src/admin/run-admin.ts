/**
 * `flowcall-admin`, the operator's command: it creates organisations, and keys for those that have lost theirs. It opens
 * the database itself, so it needs no API key.
 *
 * Invariants: it never migrates, and works only with tables of its own version. The audit log records what it does, as
 * done by `operator`. A key is printed once, on stdout.
 */
import { parseCommandLine } from "../cli/command-line/command-tree.ts";
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

export type AdminProcess = {
  readonly words: readonly string[];
  /** The environment of the process if absent. */
  readonly environment?: Environment;
  readonly stdout: Sink;
  readonly stderr: Sink;
};

/** Runs one command line and answers its exit code. Errors are printed on stderr, never thrown. */
export async function runAdmin({ words, environment, stdout, stderr }: AdminProcess): Promise<ExitCode> {
  let isJson = false;
  try {
    const parsed = parseCommandLine(admin, commands, words);
    if (parsed.kind !== "run") {
      const isWhole = parsed.kind === "version" || parsed.words.length === 0;
      const help = isWhole ? overview(admin, groups, overviewText) : helpOf(admin, commands, parsed.words);
      const isAsked = parsed.kind === "version" || parsed.isAsked;
      (isAsked ? stdout : stderr).write(`${help}\n`);
      return isAsked ? exitCodes.done : exitCodes.usage;
    }
    const { command, given } = parsed;
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
    if (!(error instanceof ConfigError)) {
      throw error;
    }
    throw usageError(`These settings cannot be read:\n  ${error.problems.join("\n  ")}`);
  }
}

const overviewText = {
  before: "Creates organisations, and keys for those that have lost theirs, directly in the database.",
  after: `It opens the service's database: FLOWCALL_DATABASE_URL, or the one in FLOWCALL_DATA_DIR. The service may run or not. Run
it on the same machine, as the service's user, with the service's settings.
flowcall-admin COMMAND --help shows the help of one command. Exit codes: 0 done, 1 error, 2 usage.`,
};
