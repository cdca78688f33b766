import { readVersion } from "../process/version.ts";
import { adviceOf } from "./command/advice.ts";
import { type Command, commonOptions } from "./command/command.ts";
import type { Context } from "./command/context.ts";
import type { Arguments } from "./command-line/arguments.ts";
import { type CommandText, commonFormats } from "./command-line/command-text.ts";
import { readWords } from "./command-line/command-tree.ts";
import { complete, completeText } from "./command-line/completion.ts";
import { helpOf, overview, wrapped } from "./command-line/help.ts";
import { commands, helpGroups } from "./commands.ts";
import { usageError } from "./output/cli-error.ts";
import { type ExitCode, exitCodes } from "./output/exit-codes.ts";
import { type Failure, failureJson, failureText } from "./output/failure.ts";
import { type Format, Output, painted, type Sink, type Stdin, takesColor } from "./output/output.ts";
import { readFailure } from "./output/read-failure.ts";
import { ProfileStore } from "./settings/profile-store.ts";
import { readSettings } from "./settings/settings.ts";

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
  const { words, environment, stdout, stderr } = surroundings;
  try {
    const program = { name: "flowcall", options: commonOptions, version: readVersion() };
    const typed = helpGroups.flatMap((group): readonly CommandText[] => group.commands);
    if (words[0] === completeText.name && !words.includes("--help") && !words.includes("-h")) {
      await complete(program, typed, words.slice(1));
      return exitCodes.done;
    }
    const asked = readWords(program, typed, words);
    if (asked.kind === "version") {
      stdout.write(`${program.name} ${program.version}\n`);
      return exitCodes.done;
    }
    if (asked.kind === "help") {
      const help =
        asked.words.length === 0 ? overview(program, helpGroups, around) : helpOf(program, typed, asked.words);
      const sink = asked.isAsked ? stdout : stderr;
      sink.write(`${sink.isTTY === true ? wrapped(help, sink.columns) : help}\n`);
      return asked.isAsked ? exitCodes.done : exitCodes.usage;
    }
    const command = commands.find(({ name }) => name === asked.command.name);
    if (command === undefined) throw usageError(`See: ${program.name} --help`);
    return await runCommand(command, asked.given, surroundings);
  } catch (error) {
    return await tell(error, { stderr, environment, isJson: isJsonAsked(words) });
  }
}

const around = {
  before: "Runs and writes workflows on a Flowcall server.",
  after: `FLOWCALL_URL and FLOWCALL_API_KEY name the server and the key; flowcall profile add remembers them.
flowcall COMMAND --help says more of one. Exit codes: 0 done, 1 error, 2 usage, 4 not authorised,
5 the execution ended and is not COMPLETED, 6 it still runs.`,
};

/** A line that cannot be read may still say how it wants to be told. */
function isJsonAsked(words: readonly string[]): boolean {
  return words.some((word, index) => {
    const value = /^(?:-o|--output=)(.+)$/.exec(word)?.[1] ?? (/^(-o|--output)$/.test(word) ? words[index + 1] : "");
    return value === "json" || value === "jsonl";
  });
}

async function runCommand(command: Command, given: Arguments, surroundings: Surroundings): Promise<ExitCode> {
  const { environment, stdin, stdout, stderr, signal } = surroundings;
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
    return await tell(error, {
      stderr,
      environment,
      isJson: format !== "text",
      ...(url !== undefined && { url }),
      ...(advise && { advise }),
    });
  }
}

type Telling = {
  readonly stderr: Sink;
  readonly environment: Surroundings["environment"];
  readonly isJson: boolean;
  readonly url?: string;
  /** What to type in its place. */
  readonly advise?: (failure: Failure) => Promise<string>;
};

function advised(message: string, advice: string): string {
  return advice === "" ? message : `${message.replace(/[^.!?]$/, "$&.")}${advice}`;
}

function adviser(given: Arguments, context: Context) {
  return async (failure: Failure) => await adviceOf(failure, given, context);
}

async function tell(error: unknown, { stderr, environment, isJson, url, advise }: Telling): Promise<ExitCode> {
  const told = await readFailure(error, url);
  const advice = (await advise?.(told)) ?? "";
  const failure = { ...told, message: advised(told.message, advice) };
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
