/**
 * The embedded database: a PostgreSQL server that Flowcall runs as a child process on a folder, for users who have none.
 *
 * Invariants: one Flowcall at a time uses a folder. The server listens on a Unix socket alone, in a folder that only its
 * user and ours can enter. While the service runs, a server that ends is started again; after `stop()` none runs. A start
 * after a crash ends the orphaned server and keeps what was committed.
 */
import { readdir, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Service } from "../../domain/service.ts";
import { DataDirProblem, makeHome, makeServerFolder, socketFolderFor } from "./data-folders.ts";
import { databaseUser, openCluster, writeAccess } from "./database-cluster.ts";
import { FolderLock } from "./folder-lock.ts";
import { endOrphanedServer } from "./orphaned-server.ts";
import { findOsUser } from "./os-user.ts";
import { PostgresProcess } from "./postgres-process.ts";
import { findPackage, installProgram } from "./postgres-program.ts";

/** Connection options for `pg`. */
export type EmbeddedConnection = {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly ssl: false;
};

export type EmbeddedPostgresOptions = {
  readonly dataDir: string;
  readonly log: Logger;
  /** Server settings by name; they override our own. */
  readonly settings?: Readonly<Record<string, string>>;
};

/** The pause before a server that ended is started again. */
const restartMs = 500;

/** The connection to the server that another Flowcall runs on a folder; undefined where the folder holds no database. */
export async function findEmbedded(dataDir: string): Promise<EmbeddedConnection | undefined> {
  const home = await realpath(join(dataDir, "postgres")).catch(() => undefined);
  if (home === undefined || !(await readdir(home)).some((entry) => /^data-\d+$/.test(entry))) {
    return undefined;
  }
  return connectionAt(socketFolderFor(home));
}

function connectionAt(socketFolder: string): EmbeddedConnection {
  return { host: socketFolder, port: 5432, user: databaseUser, database: "postgres", ssl: false };
}

const ourSettings: Readonly<Record<string, string>> = {
  listen_addresses: "",
  ssl: "off",
  timezone: "UTC",
  log_timezone: "UTC",
  // The log may show the message of a failed statement, but no values.
  log_line_prefix: "",
  log_error_verbosity: "terse",
  log_min_error_statement: "panic",
};

export class EmbeddedPostgres implements Service {
  readonly #options: EmbeddedPostgresOptions;
  #stopping = new AbortController();
  #starting: Promise<Running> | undefined;
  #stopped: Promise<void> | undefined;
  #connection: EmbeddedConnection | undefined;

  constructor(options: EmbeddedPostgresOptions) {
    this.#options = options;
  }

  /** Throws before `start()` has settled. */
  get connection(): EmbeddedConnection {
    if (this.#connection === undefined) {
      throw new Error("the embedded database is not started");
    }
    return this.#connection;
  }

  async start(): Promise<void> {
    const startTime = performance.now();
    const { dataDir, log } = this.#options;
    this.#stopping = new AbortController();
    this.#stopped = undefined;
    try {
      this.#starting = this.#open(this.#stopping.signal);
      const { socketFolder } = await this.#starting;
      this.#connection = connectionAt(socketFolder);
    } catch (error) {
      this.#starting = undefined;
      if (error instanceof DataDirProblem) {
        throw error;
      }
      throw new Error(
        `the embedded database cannot start in ${dataDir}; FLOWCALL_DATABASE_URL lets Flowcall use one of your own`,
        { cause: error },
      );
    }
    log.info({ dataDir, ms: Math.round(performance.now() - startTime) }, "the embedded database takes connections");
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#stopped ??= this.#close();
    await this.#stopped;
  }

  async #close(): Promise<void> {
    const running = await this.#starting?.catch(() => undefined);
    this.#starting = undefined;
    this.#connection = undefined;
    if (running !== undefined) {
      await running.ended;
      await rm(running.socketFolder, { recursive: true, force: true });
      running.lock.release();
    }
  }

  async #open(signal: AbortSignal): Promise<Running> {
    const { dataDir, log, settings } = this.#options;
    const osUser = await findOsUser();
    const home = await makeHome(dataDir, osUser);
    const lock = new FolderLock(home);
    try {
      const program = await installProgram({ packageFolder: findPackage(process), home, osUser, log });
      const isDurable = settings?.["fsync"] !== "off";
      const dataFolder = await openCluster({ home, program, osUser, log, isDurable });
      const socketFolder = socketFolderFor(home);
      const allSettings = {
        ...ourSettings,
        ...settings,
        ...(await writeAccess(home, osUser)),
        unix_socket_directories: socketFolder,
      };
      const launch = async () => {
        await endOrphanedServer(dataFolder, log);
        await makeServerFolder(socketFolder, osUser);
        return new PostgresProcess({ program, dataFolder, osUser, settings: allSettings, log, signal });
      };
      const server = await launch();
      await server.ready();
      return { lock, socketFolder, ended: keepRunning({ server, launch, log, signal }) };
    } catch (error) {
      lock.release();
      throw error;
    }
  }
}

type Running = {
  readonly lock: FolderLock;
  readonly socketFolder: string;
  /** Settles when the server has ended for good. */
  readonly ended: Promise<void>;
};

/** Starts the server again whenever it ends, until the signal aborts and the last one has ended. */
async function keepRunning(options: {
  readonly server: PostgresProcess;
  readonly launch: () => Promise<PostgresProcess>;
  readonly log: Logger;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { server, launch, log, signal } = options;
  let reason = await server.exited;
  while (!signal.aborted) {
    log.error({ reason }, "the database server ended and is started again");
    await sleep(restartMs, undefined, { signal }).catch(() => undefined);
    if (!signal.aborted) {
      reason = await launch().then((next) => next.exited, String);
    }
  }
}
