import { App } from "./app.ts";
import type { Supervisor, SupervisorOptions } from "./cluster/supervisor.ts";
import { type Config, ConfigError, type Environment, readConfig } from "./config.ts";
import { causesOf } from "./process/causes-of.ts";
import { openLog } from "./process/log.ts";
import { MemoryReclaimer } from "./process/memory-reclaimer.ts";
import { startHelp } from "./process/start-help.ts";
import { handleStopSignals } from "./process/stop-signals.ts";
import { readVersion } from "./process/version.ts";
import { welcome } from "./process/welcome.ts";

/** The exit status for wrong arguments or settings, by the convention of command lines. */
const usageStatus = 2;

export type RunServerOptions = {
  /** The arguments of the command line. */
  readonly words: readonly string[];
  readonly environment: Environment;
};

/** Runs the service from its settings to its end: start, welcome message, signals, exit status. */
export async function runServer({ words, environment }: RunServerOptions): Promise<void> {
  const version = readVersion();
  handleArguments(words, { version, environment });
  const config = configOrExit();
  const log = openLog(config, process.stderr.hasColors?.() ?? false);
  let isStopping = false;
  const fail = async (error: unknown, what: string): Promise<void> => {
    if (isStopping) {
      return;
    }
    isStopping = true;
    // A person reads the causes below. A collector of JSON lines gets the stack.
    if (config.logFormat === "json") {
      log.fatal({ err: error }, what);
    }
    process.stderr.write(`\n${what}: ${causesOf(error).join("\n  because ")}\n`);
    await app?.stop().catch(() => undefined);
    process.exit(1);
  };
  const app = await createService({ config, log, onFailed: (error) => void fail(error, "Flowcall ends") });
  if (app === undefined) {
    return;
  }
  handleStopSignals({
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
    await fail(error, "Flowcall cannot start");
  }
  if (isStopping) {
    return;
  }
  process.stdout.write(welcome({ config, url: app.url, version, started: app.started, environment }));
  await new MemoryReclaimer().start();
}

/** The whole service in this process, or the supervisor of several workers; undefined in a worker, which runs by itself. */
async function createService(options: SupervisorOptions): Promise<App | Supervisor | undefined> {
  if (options.config.workers === 1) {
    return new App(options);
  }
  const { default: cluster } = await import("node:cluster");
  if (cluster.isPrimary) {
    const { Supervisor } = await import("./cluster/supervisor.ts");
    return new Supervisor(options);
  }
  const { runWorker } = await import("./cluster/run-worker.ts");
  runWorker(options);
  return undefined;
}

type ServedText = { readonly version: string; readonly environment: Environment };

/** Handles the arguments of the command line, and ends the process if there are any. */
function handleArguments(words: readonly string[], { version, environment }: ServedText): void {
  const [word] = words;
  if (word === undefined) {
    return;
  }
  const help = startHelp(environment);
  const answers: Readonly<Record<string, string>> = {
    "--help": help,
    "-h": help,
    "--version": `${version}\n`,
    "-v": `${version}\n`,
  };
  const answer = Object.hasOwn(answers, word) ? answers[word] : undefined;
  if (answer === undefined) {
    process.stderr.write(`Flowcall takes no argument ${JSON.stringify(word)}; --help shows the valid ones.\n`);
    process.exit(usageStatus);
  }
  process.stdout.write(answer);
  process.exit(0);
}

function configOrExit(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) {
      throw error;
    }
    process.stderr.write(`Flowcall cannot start with these settings:\n  ${error.problems.join("\n  ")}\n`);
    process.exit(usageStatus);
  }
}
