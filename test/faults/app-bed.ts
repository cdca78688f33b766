import { pino } from "pino";
import { App, type AppOptions } from "../../src/app.ts";
import { type Environment, readConfig } from "../../src/config.ts";
import { productionKey, testKey } from "../support/flowcall.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { makeDataDir } from "../support/server-process.ts";
import { openLedger, type Query } from "./ledger.ts";
import { type Answer, Upstream } from "./upstream.ts";

const log = pino({ level: process.env["TEST_LOG"] ?? "silent" });

export type AppBedOptions = {
  /** One with the examples. */
  readonly database: TestDatabase;
  readonly environment?: Environment;
  /** Where the services reach the database, if not where the case itself does. */
  readonly databaseUrl?: string;
  /** How the API that they call answers; at once where it is not set. */
  readonly answer?: Answer;
};

/** Services in this process on one database whose ledger is open, and an API for them to call. */
export class AppBed {
  readonly database: TestDatabase;
  readonly upstream: Upstream;
  readonly #options: AppBedOptions;
  readonly #folder: Awaited<ReturnType<typeof makeDataDir>>;
  readonly #apps: App[] = [];

  private constructor(options: AppBedOptions, upstream: Upstream, folder: Awaited<ReturnType<typeof makeDataDir>>) {
    this.database = options.database;
    this.upstream = upstream;
    this.#options = options;
    this.#folder = folder;
  }

  /** Runs a case on a bed with one service, and clears it away whatever happens. */
  static async with<T>(options: AppBedOptions, run: (bed: AppBed, url: string) => Promise<T>): Promise<T> {
    const bed = new AppBed(options, await Upstream.start(options.answer), await makeDataDir());
    try {
      const { url } = await bed.startApp();
      await openLedger(bed.query);
      return await run(bed, url);
    } finally {
      await bed.#stop();
    }
  }

  readonly query: Query = (statement) => this.database.query(statement);

  /** Starts a service more. */
  async startApp({
    environment = {},
    open,
  }: Pick<AppOptions, "open"> & { environment?: Environment } = {}): Promise<App> {
    const { database, databaseUrl = database.url } = this.#options;
    const config = readConfig({
      FLOWCALL_PORT: "0",
      FLOWCALL_DATABASE_URL: databaseUrl,
      FLOWCALL_DATA_DIR: this.#folder.dataDir,
      FLOWCALL_EXAMPLES: "false",
      FLOWCALL_POOL_KEPT: "0",
      FLOWCALL_EGRESS_ALLOW: "127.0.0.1",
      FLOWCALL_TEST_KEY: testKey,
      FLOWCALL_PRODUCTION_KEY: productionKey,
      ...this.#options.environment,
      ...environment,
    });
    const app = new App({ config, log, ...(open !== undefined && { open }) });
    this.#apps.push(app);
    await app.start();
    return app;
  }

  async count(from: string): Promise<number> {
    const { rows } = await this.query(`select count(*)::int as count from ${from}`);
    return Number(rows[0]?.["count"]);
  }

  async hasDrained(): Promise<boolean> {
    return (await this.count("execution_claim")) === 0;
  }

  async #stop(): Promise<void> {
    // What waits for an answer would hold the stop.
    this.upstream.letGo();
    await Promise.all(this.#apps.map((app) => app.stop()));
    await this.upstream.stop();
    await this.#folder.remove();
    await this.database.drop();
  }
}
