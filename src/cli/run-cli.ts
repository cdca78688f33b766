import { accountGet, accountLs, accountPut, accountRm } from "./accounts.ts";
import { api } from "./api.ts";
import { type Arguments, parseArguments } from "./arguments.ts";
import { usageError } from "./cli-error.ts";
import { type Command, flowcall } from "./command.ts";
import { commandOf } from "./command-of.ts";
import { dev } from "./dev.ts";
import { doctor } from "./doctor.ts";
import { get, ls, rerun, retry, stop } from "./executions.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { failureJson, failureOf, failureText } from "./failure.ts";
import { helpOf, overview } from "./help.ts";
import { keyCreate, keyLs, keyRevoke, keyRotate } from "./keys.ts";
import { type Format, Output, type Sink, type Stdin } from "./output.ts";
import { ProfileStore } from "./profile-store.ts";
import { profileAdd, profileLs, profileRm, profileUse } from "./profiles.ts";
import { run } from "./run.ts";
import { readSettings } from "./settings.ts";
import { status } from "./status.ts";
import { watch } from "./watch.ts";
import { diff, validate } from "./workflow/check.ts";
import { pull } from "./workflow/pull.ts";
import { push } from "./workflow/push.ts";
import { publish, restore } from "./workflow/versions.ts";

export const commands: readonly Command[] = [
  run,
  watch,
  ls,
  get,
  stop,
  rerun,
  retry,
  push,
  pull,
  diff,
  validate,
  publish,
  restore,
  accountPut,
  accountGet,
  accountLs,
  accountRm,
  keyCreate,
  keyLs,
  keyRotate,
  keyRevoke,
  profileAdd,
  profileUse,
  profileLs,
  profileRm,
  status,
  doctor,
  dev,
  api,
];

/** The process as a command line sees it. */
export type Surroundings = {
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdin: Stdin;
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly signal: AbortSignal;
};

/** Runs one command line to its end. Whatever goes wrong is said on stderr, and never thrown. */
export async function runCli(surroundings: Surroundings): Promise<ExitCode> {
  const { words, stdout, stderr } = surroundings;
  try {
    if (words.length === 0) {
      stderr.write(`${overview(commands)}\n`);
      return exitCodes.usage;
    }
    if (words.length === 1 && (words[0] === "--help" || words[0] === "-h")) {
      stdout.write(`${overview(commands)}\n`);
      return exitCodes.done;
    }
    const command = commandOf(flowcall, commands, words);
    const given = parseArguments(flowcall, command, words.slice(command.name.split(" ").length));
    if (given.isSet("help")) {
      stdout.write(`${helpOf(flowcall, command)}\n`);
      return exitCodes.done;
    }
    return await runCommand(command, given, surroundings);
  } catch (error) {
    return await tell(error, { stderr, isJson: false });
  }
}

async function runCommand(command: Command, given: Arguments, surroundings: Surroundings): Promise<ExitCode> {
  const { environment, stdin, stdout, stderr, signal } = surroundings;
  const format = formatOf(command, given);
  const output = new Output({ format, stdout, stderr, environment });
  const store = new ProfileStore(environment);
  let url: string | undefined;
  try {
    const settings = await readSettings({ given, environment, store, isLenient: command.name.startsWith("profile ") });
    ({ url } = settings);
    const connect = async () => new (await import("./client.ts")).Client(settings);
    return await command.run(given, { environment, stdin, output, store, settings, signal, connect });
  } catch (error) {
    return await tell(error, { stderr, isJson: format !== "text", ...(url !== undefined && { url }) });
  }
}

type Telling = { readonly stderr: Sink; readonly isJson: boolean; readonly url?: string };

async function tell(error: unknown, { stderr, isJson, url }: Telling): Promise<ExitCode> {
  const failure = await failureOf(error, url);
  stderr.write(`${isJson ? JSON.stringify(failureJson(failure)) : failureText(failure)}\n`);
  return failure.exitCode;
}

function formatOf({ name, formats = ["text", "json", "jsonl"] }: Command, given: Arguments): Format {
  const text = given.text("output") ?? "text";
  if (!formats.includes(text)) {
    throw usageError(`flowcall ${name} takes --output ${formats.join(", ")}, not ${JSON.stringify(text)}.`);
  }
  return text === "json" || text === "jsonl" ? text : "text";
}
