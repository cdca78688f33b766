/*
 * The command line, `flowcall`. `commands.ts` lists the commands; each is a file in the folder of what it is about.
 * `command-line/` parses and completes, `settings/` finds the server and the key, `client/` calls it, `input/` and
 * `output/` read and print, `workflow-file/` and `workflow-sync/` keep workflows as files.
 *
 * - It uses the public API and generated code only; nothing of the service imports it.
 * - Data goes to stdout, everything else to stderr. A key is never printed, and never sent to another server than its own.
 * - Text of the server is printed without control characters.
 */
import { readVersion } from "../process/version.ts";
import { adviceOf } from "./command/advice.ts";
import { type Command, commonOptions } from "./command/command.ts";
import type { Context } from "./command/context.ts";
import type { Arguments } from "./command-line/arguments.ts";
import { type CommandText, commonFormats } from "./command-line/command-text.ts";
import { parseCommandLine } from "./command-line/command-tree.ts";
import { complete, completeText } from "./command-line/completion.ts";
import { helpOf, overview, wrapped } from "./command-line/help.ts";
import { commands, helpGroups } from "./commands.ts";
import { usageError } from "./output/cli-error.ts";
import { type ExitCode, exitCodes } from "./output/exit-codes.ts";
import { type Failure, failureJson, failureText } from "./output/failure.ts";
import { type Format, Output, painted, type Sink, type Stdin, takesColor } from "./output/output.ts";
import { readFailure } from "./output/read-failure.ts";
import { withKeyOfFile } from "./settings/key-file.ts";
import { ProfileStore } from "./settings/profile-store.ts";
import { readSettings } from "./settings/settings.ts";

/** The parts of the process that a command line uses. */
export type CliProcess = {
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdin: Stdin;
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly signal: AbortSignal;
};

/** Runs one command line and answers its exit code. Errors are printed on stderr, never thrown. */
export async function runCli(process: CliProcess): Promise<ExitCode> {
  const { words, environment, stdout, stderr } = process;
  try {
    const program = { name: "flowcall", options: commonOptions, version: readVersion() };
    const known = helpGroups.flatMap((group): readonly CommandText[] => group.commands);
    if (words[0] === completeText.name && !words.includes("--help") && !words.includes("-h")) {
      await complete(program, known, words.slice(1));
      return exitCodes.done;
    }
    const parsed = parseCommandLine(program, known, words);
    if (parsed.kind === "version") {
      stdout.write(`${program.name} ${program.version}\n`);
      return exitCodes.done;
    }
    if (parsed.kind === "help") {
      const help =
        parsed.words.length === 0 ? overview(program, helpGroups, overviewText) : helpOf(program, known, parsed.words);
      const sink = parsed.isAsked ? stdout : stderr;
      sink.write(`${sink.isTTY === true ? wrapped(help, sink.columns) : help}\n`);
      return parsed.isAsked ? exitCodes.done : exitCodes.usage;
    }
    const command = commands.find(({ name }) => name === parsed.command.name);
    if (command === undefined) {
      throw usageError(`See: ${program.name} --help`);
    }
    return await runCommand(command, parsed.given, process);
  } catch (error) {
    return await printFailure(error, { stderr, environment, isJson: isJsonAsked(words) });
  }
}

const overviewText = {
  before: "Runs workflows on a Flowcall server, and keeps their definitions as files.",
  after: `FLOWCALL_URL and FLOWCALL_API_KEY name the server and the key (FLOWCALL_API_KEY_FILE the key's file); flowcall
profile add stores them.
flowcall COMMAND --help shows the help of one command. Exit codes: 0 done, 1 error, 2 usage, 4 not authorised,
5 the execution ended and is not COMPLETED, 6 it still runs.`,
};

/** Looks for `-o json` in a line that may not parse, so that its error is printed as JSON too. */
function isJsonAsked(words: readonly string[]): boolean {
  return words.some((word, index) => {
    const value = /^(?:-o|--output=)(.+)$/.exec(word)?.[1] ?? (/^(-o|--output)$/.test(word) ? words[index + 1] : "");
    return value === "json" || value === "jsonl";
  });
}

async function runCommand(command: Command, given: Arguments, process: CliProcess): Promise<ExitCode> {
  const { environment: variables, stdin, stdout, stderr, signal } = process;
  const environment = await withKeyOfFile(variables);
  const format = formatOf(command, given);
  const output = new Output({ format, stdout, stderr, environment });
  const store = new ProfileStore(environment);
  let url: string | undefined;
  let context: Context | undefined;
  try {
    const settings = await readSettings({ given, environment, store, isLenient: command.name.startsWith("profile ") });
    ({ url } = settings);
    const connect = async () => new (await import("./client/client.ts")).Client(settings);
    context = { environment, stdin, output, store, settings, signal, connect };
    return await command.run(given, context);
  } catch (error) {
    const advise = context === undefined ? undefined : adviser(given, context);
    return await printFailure(error, {
      stderr,
      environment,
      isJson: format !== "text",
      ...(url !== undefined && { url }),
      ...(advise && { advise }),
    });
  }
}

type FailureOutput = {
  readonly stderr: Sink;
  readonly environment: CliProcess["environment"];
  readonly isJson: boolean;
  readonly url?: string;
  /** Answers what to type instead. */
  readonly advise?: (failure: Failure) => Promise<string>;
};

function advised(message: string, advice: string): string {
  return advice === "" ? message : `${message.replace(/[^.!?]$/, "$&.")}${advice}`;
}

function adviser(given: Arguments, context: Context) {
  return async (failure: Failure) => await adviceOf(failure, given, context);
}

async function printFailure(
  error: unknown,
  { stderr, environment, isJson, url, advise }: FailureOutput,
): Promise<ExitCode> {
  const read = await readFailure(error, url);
  const advice = (await advise?.(read)) ?? "";
  const failure = { ...read, message: advised(read.message, advice) };
  const text = isJson ? JSON.stringify(failureJson(failure)) : failureText(failure);
  stderr.write(`${!isJson && takesColor(stderr, environment) ? painted(text) : text}\n`);
  return failure.exitCode;
}

function formatOf({ name, formats = commonFormats }: Command, given: Arguments): Format {
  const text = given.text("output") ?? "text";
  if (!formats.includes(text)) {
    throw usageError(`flowcall ${name} takes --output ${formats.join(", ")}, not ${JSON.stringify(text)}.`);
  }
  return text === "json" || text === "jsonl" ? text : "text";
}
