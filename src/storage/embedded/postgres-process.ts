import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { OsUser } from "./os-user.ts";
import { type PostgresProgram, programOptions } from "./postgres-program.ts";

/** The time for a fast shutdown, before an immediate one. */
const fastStopMs = 10_000;

/** The log mentions a slow start, such as a crash recovery, this often. */
const mentionMs = 5_000;

/** One process of the server, from its spawn to its exit. */
export class PostgresProcess {
  /** Settles with the reason when the process and all its children have ended. */
  readonly exited: Promise<string>;
  readonly #process: ChildProcess;
  readonly #dataFolder: string;
  readonly #log: Logger;
  #lastLine = "it printed nothing";
  #hasExited = false;

  constructor(options: {
    readonly program: PostgresProgram;
    readonly dataFolder: string;
    readonly osUser: OsUser;
    readonly settings: Readonly<Record<string, string>>;
    readonly log: Logger;
    /** Aborting it ends the server by a fast shutdown, which rolls back open transactions. */
    readonly signal: AbortSignal;
  }) {
    const settings = Object.entries(options.settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    this.#dataFolder = options.dataFolder;
    this.#log = options.log;
    const child = spawn(join(options.program.binFolder, "postgres"), ["-D", options.dataFolder, ...settings], {
      ...programOptions(options.dataFolder, options.osUser),
      // A session of its own: Ctrl-C in a terminal signals the whole process group, and would end the database before the
      // graceful shutdown is over.
      detached: true,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process = child;
    this.#readLines(child.stderr);
    this.exited = this.#watch(options.signal);
  }

  /** Settles when the server accepts connections; throws when it ends before. */
  async ready(): Promise<void> {
    const pidFile = join(this.#dataFolder, "postmaster.pid");
    let mentionTime = performance.now() + mentionMs;
    while (!this.#hasExited) {
      // The first line of the pid file is the process, the eighth its state.
      const lines = (await readFile(pidFile, "utf8").catch(() => "")).split("\n");
      if (lines[0] === String(this.#process.pid) && lines[7]?.trim() === "ready") {
        return;
      }
      if (performance.now() > mentionTime) {
        this.#log.info("the database is still starting: after a crash it replays its write-ahead log");
        mentionTime += mentionMs;
      }
      await sleep(5);
    }
    throw new Error(`the database server ended while it started: ${await this.exited}`);
  }

  async #watch(signal: AbortSignal): Promise<string> {
    let limit: NodeJS.Timeout | undefined;
    const end = () => {
      this.#process.kill("SIGINT");
      limit = setTimeout(() => {
        this.#log.warn("the database does not stop in time and gets an immediate shutdown");
        this.#process.kill("SIGQUIT");
      }, fastStopMs);
    };
    // Where our process exits without `stop()`, it still ends its database.
    const endWithUs = () => this.#process.kill("SIGINT");
    signal.addEventListener("abort", end);
    process.on("exit", endWithUs);
    try {
      if (signal.aborted) {
        end();
      }
      const [code, endSignal] = await once(this.#process, "close");
      return `${endSignal ?? `exit code ${code}`}; ${this.#lastLine}`;
    } catch (error) {
      return String(error);
    } finally {
      this.#hasExited = true;
      clearTimeout(limit);
      signal.removeEventListener("abort", end);
      process.off("exit", endWithUs);
    }
  }

  #readLines(output: Readable): void {
    createInterface({ input: output }).on("line", (line) => {
      const [, severity, message = line] = /^([A-Z0-9]+): {2}(.*)$/.exec(line) ?? [];
      this.#lastLine = message;
      this.#write(severity, message);
    });
  }

  /** ERROR ends a statement and FATAL a connection: their owners get and log these, so that here they are noise. */
  #write(severity: string | undefined, message: string): void {
    if (severity === "PANIC") {
      this.#log.error(message);
    } else if (severity === "WARNING") {
      this.#log.warn(message);
    } else {
      this.#log.debug(message);
    }
  }
}
