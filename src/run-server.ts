import { App } from "./app.ts";
import { type Config, ConfigError, type Environment, readConfig } from "./config.ts";
import { FreedMemory } from "./process/freed-memory.ts";
import { openLog } from "./process/log.ts";
import { startHelp } from "./process/start-help.ts";
import { hearStopSignals } from "./process/stop-signals.ts";
import { readVersion } from "./process/version.ts";
import { welcome } from "./process/welcome.ts";

/** How a process that was told wrong ends, by the convention of command lines. */
const usageStatus = 2;

export type ServerWords = {
  /** The words of the command line behind the program's name. */
  readonly words: readonly string[];
  readonly environment: Environment;
};

/** The process from its settings to its end: what is started, said, and done on a signal. */
export async function runServer({ words, environment }: ServerWords): Promise<void> {
  const version = readVersion();
  answerWords(words, version);
  const config = configOrExit();
  const log = openLog(config, process.stderr.hasColors?.() ?? false);
  const app = new App({ config, log });
  let isStopping = false;
  hearStopSignals({
    environment,
    stop: (signal) => {
      isStopping = true;
      log.info({ signal }, "stopping; the same signal again ends the process at once");
      app.stop().then(
        () => {
          log.info("stopped");
          process.exit(0);
        },
        (error: unknown) => {
          log.error({ err: error }, "the process could not stop as it should");
          process.exit(1);
        },
      );
    },
    end: () => process.exit(1),
  });
  log.info({ version, node: process.version, ...config.given }, "Flowcall starts");
  try {
    await app.start();
  } catch (error) {
    if (isStopping) return;
    // A person reads the causes, said below; where lines are collected, the stack may be all that there is.
    if (config.logFormat === "json") log.fatal({ err: error }, "Flowcall cannot start");
    process.stderr.write(`\nFlowcall cannot start: ${causesOf(error).join("\n  because ")}\n`);
    await app.stop().catch(() => undefined);
    process.exit(1);
  }
  if (isStopping) return;
  process.stdout.write(welcome({ config, url: app.url, version, started: app.started }));
  await new FreedMemory().start();
}

/** Ends the process where words were said, of which the server takes these alone. */
function answerWords(words: readonly string[], version: string): void {
  const [word] = words;
  if (word === undefined) return;
  const answers: Readonly<Record<string, string>> = {
    "--help": startHelp,
    "-h": startHelp,
    "--version": `${version}\n`,
    "-v": `${version}\n`,
  };
  const answer = Object.hasOwn(answers, word) ? answers[word] : undefined;
  if (answer === undefined) {
    process.stderr.write(`Flowcall takes no argument ${JSON.stringify(word)}; --help says what it takes.\n`);
    process.exit(usageStatus);
  }
  process.stdout.write(answer);
  process.exit(0);
}

function configOrExit(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`Flowcall cannot start with these settings:\n  ${error.problems.join("\n  ")}\n`);
    process.exit(usageStatus);
  }
}

function causesOf(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return [String(error)];
  return [error.message, ...(error.cause === undefined ? [] : causesOf(error.cause))];
}
