import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Account } from "./os-user.ts";
import { type Program, programOptions } from "./postgres-program.ts";

/** How long a fast shutdown may take before the server is ended at once. */
const fastStopMs = 10_000;

/** How often a start that takes long, as a recovery may, is mentioned. */
const mentionMs = 5_000;

/** One run of the server: from a spawn to an exit. */
export class Server {
  /** Settles when the process and all its children have ended, with what is known of why. */
  readonly exited: Promise<string>;
  readonly #process: ChildProcess;
  readonly #dataFolder: string;
  readonly #log: Logger;
  #lastLine = "it printed nothing";
  #hasExited = false;

  constructor(options: {
    readonly program: Program;
    readonly dataFolder: string;
    readonly account: Account;
    readonly settings: Readonly<Record<string, string>>;
    readonly log: Logger;
    /** Ends the server when it aborts: open transactions are rolled back, everything committed is kept. */
    readonly signal: AbortSignal;
  }) {
    const settings = Object.entries(options.settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    this.#dataFolder = options.dataFolder;
    this.#log = options.log;
    const child = spawn(join(options.program.binFolder, "postgres"), ["-D", options.dataFolder, ...settings], {
      ...programOptions(options.dataFolder, options.account),
      // In a session of its own: Ctrl-C in a terminal signals the whole group, and would end the database before we
      // have drained.
      detached: true,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process = child;
    this.#readLines(child.stderr);
    this.exited = this.#watch(options.signal);
  }

  /** Settles when the server takes connections; throws when it ends before. */
  async ready(): Promise<void> {
    const pidFile = join(this.#dataFolder, "postmaster.pid");
    let mentionTime = performance.now() + mentionMs;
    while (!this.#hasExited) {
      // The file's first line is the process, its eighth the state.
      const lines = (await readFile(pidFile, "utf8").catch(() => "")).split("\n");
      if (lines[0] === String(this.#process.pid) && lines[7]?.trim() === "ready") {
        return;
      }
      if (performance.now() > mentionTime) {
        this.#log.info("the database is still starting: after a crash it reads again what it had written");
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
        this.#log.warn("the database does not stop in time and is ended at once");
        this.#process.kill("SIGQUIT");
      }, fastStopMs);
    };
    // A process of ours that exits without `stop()` takes its database along, where it can still do anything at all.
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

  /** An ERROR ends a statement and a FATAL a connection: whose it was is told, and tells it. */
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
