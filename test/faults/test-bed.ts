import type { Environment } from "../../src/config.ts";
import { productionKey, testKey } from "../support/flowcall.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { makeDataDir, type ServerProcess, startServerProcess } from "../support/server-process.ts";
import { openLedger, type Query } from "./ledger.ts";
import { Sink } from "./sink.ts";

export type TestBedOptions = {
  /** One with the examples. */
  readonly database: TestDatabase;
  /** How many processes serve. */
  readonly processes: number;
  readonly environment?: Environment;
  /** What a process has beside it from its start. */
  readonly environmentOf?: (index: number) => Environment;
  /** Where the processes reach the database, if not where the case itself does. */
  readonly databaseUrl?: string;
  /** Where each process listens; anywhere if not set. */
  readonly ports?: readonly number[];
  /** What runs in place of `src/main.ts`, with its arguments. */
  readonly program?: readonly string[];
  /** Told of what such a program says over its channel, from whichever process. */
  readonly onMessage?: (message: unknown, index: number) => void;
};

type DataFolder = Awaited<ReturnType<typeof makeDataDir>>;

/** Processes of the service on one database whose ledger is open, and an API for them to call. */
export class TestBed {
  readonly database: TestDatabase;
  readonly sink: Sink;
  readonly #options: TestBedOptions;
  readonly #folders: readonly DataFolder[];
  readonly #servers: (ServerProcess | undefined)[];

  private constructor(options: TestBedOptions, sink: Sink, folders: readonly DataFolder[]) {
    this.database = options.database;
    this.sink = sink;
    this.#options = options;
    this.#folders = folders;
    this.#servers = folders.map(() => undefined);
  }

  /** Starts all of it. */
  static async start(options: TestBedOptions): Promise<TestBed> {
    const folders = await Promise.all(Array.from({ length: options.processes }, makeDataDir));
    const bed = new TestBed(options, await Sink.start(), folders);
    try {
      await bed.startServer(0);
      await openLedger(bed.query);
      await Promise.all(folders.slice(1).map((_, index) => bed.startServer(index + 1)));
      return bed;
    } catch (error) {
      await bed.stop();
      throw error;
    }
  }

  /** The processes that are there, by their place; one that was killed has none until it is started again. */
  get servers(): readonly (ServerProcess | undefined)[] {
    return this.#servers;
  }

  /** Where a call can go now. */
  get urls(): readonly string[] {
    return this.#servers.flatMap((server) => server?.url ?? []);
  }

  server(index: number): ServerProcess {
    const server = this.#servers[index];
    if (server === undefined) {
      throw new Error(`process ${index} does not run`);
    }
    return server;
  }

  /** Starts a process, with settings of its own beside those of all, and a program of its own where it has one. */
  async startServer(index: number, own: Environment = {}, program = this.#options.program): Promise<ServerProcess> {
    const { database, databaseUrl = database.url, environment, environmentOf, ports = [], onMessage } = this.#options;
    const server = await startServerProcess({
      dataDir: this.#folders[index]?.dataDir ?? "",
      ...(program !== undefined && { program }),
      environment: {
        FLOWCALL_DATABASE_URL: databaseUrl,
        FLOWCALL_EXAMPLES: "false",
        FLOWCALL_PORT: String(ports[index] ?? 0),
        FLOWCALL_EGRESS_ALLOW: "127.0.0.1",
        FLOWCALL_TEST_KEY: testKey,
        FLOWCALL_PRODUCTION_KEY: productionKey,
        // What cannot reach its database for a while says so, and is meant to.
        FLOWCALL_LOG_LEVEL: process.env["TEST_LOG"] ?? "silent",
        // Few cases compute anything that needs a child process: those that do start one when it is needed.
        FLOWCALL_POOL_KEPT: "0",
        ...environment,
        ...environmentOf?.(index),
        ...own,
      },
    });
    if (onMessage !== undefined) {
      server.child.on("message", (message) => onMessage(message, index));
    }
    this.#servers[index] = server;
    return server;
  }

  async kill(index: number): Promise<void> {
    await this.end(index, "SIGKILL");
  }

  /** Sends a process its last signal; answers its exit status, null after one that it did not catch. */
  async end(index: number, signal: NodeJS.Signals): Promise<number | null> {
    const server = this.server(index);
    this.#servers[index] = undefined;
    return await server.end(signal);
  }

  /** Ends all that it started, in whatever state it is, and deletes the database. */
  async stop(): Promise<void> {
    await Promise.all(this.#servers.map(async (server, index) => server && (await this.kill(index))));
    await this.sink.stop();
    await Promise.all(this.#folders.map((folder) => folder.remove()));
    await this.database.drop();
  }

  readonly query: Query = (statement) => this.database.query(statement);

  async count(from: string): Promise<number> {
    const { rows } = await this.query(`select count(*)::int as count from ${from}`);
    return Number(rows[0]?.["count"]);
  }
}
