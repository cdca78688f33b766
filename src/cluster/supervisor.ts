/*
 * Several workers on one machine, by `node:cluster`: the first process is their supervisor. It runs the embedded Postgres,
 * prepares the database, watches the workers and writes the ready file; it serves no call itself. A worker is a whole
 * service with a lease of its own, and shares the work as processes on one database do.
 *
 * - All workers accept from one socket. A worker that dies or hangs takes no connection with it that it has not accepted,
 *   and while one is replaced the others accept.
 * - A worker that dies or hangs is replaced; one that dies again and again ends the service.
 * - When the supervisor ends, however, no worker goes on.
 */
import cluster from "node:cluster";
import type { Logger } from "pino";
import { App } from "../app.ts";
import type { Config } from "../config.ts";
import type { Service } from "../domain/service.ts";
import { MetricsServer } from "../metrics/metrics-server.ts";
import { ReadyFile } from "../process/ready-file.ts";
import { runningFileIn } from "../setup/data-dir.ts";
import { choosePort } from "../setup/free-port.ts";
import type { Started } from "../setup/prepare-tenants.ts";
import { EmbeddedPostgres } from "../storage/embedded/embedded-postgres.ts";
import { WorkerMetrics } from "./worker-metrics.ts";
import { WorkerSlot } from "./worker-slot.ts";

/** Connections of one worker to Postgres: its pool, look-ups of keys, the lease, and notifications. */
const workerConnections = 14;

/** Connections beside those of the workers: of the supervisor, the operator's command, and Postgres's own default at least. */
const otherConnections = 20;
const connectionsMin = 100;

export type SupervisorOptions = {
  readonly config: Config;
  readonly log: Logger;
  /** Called when the service can no longer run. */
  readonly onFailed: (error: Error) => void;
};

export class Supervisor implements Service {
  readonly #options: SupervisorOptions;
  readonly #embedded: EmbeddedPostgres | undefined;
  readonly #readyFile: ReadyFile;
  #slots: readonly WorkerSlot[] = [];
  #preparation: App | undefined;
  #started: Started = { keys: [], exampleEnvironmentIds: [] };
  #url: string | undefined;
  #restart: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  #metricsServer: MetricsServer | undefined;

  constructor(options: SupervisorOptions) {
    const { config, log } = options;
    const { databaseUrl, dataDir, readyFile, workers } = config;
    this.#options = options;
    // One more worker runs while one is replaced.
    const connections = (workers + 1) * workerConnections + otherConnections;
    const settings = { max_connections: String(Math.max(connections, connectionsMin)) };
    this.#embedded = databaseUrl === undefined ? new EmbeddedPostgres({ dataDir, log, settings }) : undefined;
    this.#readyFile = new ReadyFile({
      configured: readyFile,
      own: databaseUrl === undefined ? runningFileIn(dataDir) : undefined,
    });
  }

  /** Throws before `start()` has settled. */
  get url(): string {
    if (this.#url === undefined) {
      throw new Error("no worker accepts calls yet");
    }
    return this.#url;
  }

  get started(): Started {
    return this.#started;
  }

  async start(): Promise<void> {
    const { config, log, onFailed } = this.#options;
    const port = await choosePort(config);
    await this.#readyFile.check();
    await this.#embedded?.start();
    if (this.#stopped === undefined) {
      await this.#prepare();
    }
    if (this.#stopped !== undefined) {
      return;
    }
    // With round-robin, its default, the supervisor would accept, and a connection that it hands to a worker that hangs
    // would be lost. With one shared socket a worker accepts when its event loop comes to it.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    process.once("exit", () => this.#kill());
    const metrics = config.metrics && new WorkerMetrics();
    const options = { port, silenceMs: config.workerTimeoutMs, metrics, log, onFailed };
    this.#slots = Array.from({ length: config.workers }, () => new WorkerSlot(options));
    const urls = await Promise.all(this.#slots.map((slot) => slot.start()));
    if (this.#stopped !== undefined) {
      return;
    }
    this.#url = urls[0];
    if (config.metrics && metrics) {
      this.#metricsServer = new MetricsServer({ ...config.metrics, text: () => metrics.text() });
      await this.#metricsServer.start();
      log.info({ url: this.#metricsServer.url }, "metrics are served");
    }
    await this.#readyFile.write(this.url);
    // From a terminal the signal says that it has been closed.
    if (!process.stderr.isTTY) {
      process.on("SIGHUP", () => this.restart());
    }
    log.info({ url: this.url, workers: config.workers }, "calls are accepted");
  }

  /** Rolling restart: each worker is replaced by a new process that accepts calls already, one worker after the other. */
  restart(): void {
    this.#restart ??= this.#replaceAll().finally(() => {
      this.#restart = undefined;
    });
  }

  /** Graceful shutdown of all workers at a time. It also ends a start that is in progress. */
  async stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    await this.#stopped;
  }

  async #stopAll(): Promise<void> {
    await this.#readyFile.remove();
    await this.#metricsServer?.stop();
    await this.#preparation?.stop();
    await Promise.all(this.#slots.map((slot) => slot.stop()));
    await this.#restart;
    await this.#embedded?.stop();
  }

  async #prepare(): Promise<void> {
    const running = this.#embedded?.connection;
    const { metrics: _, ...config } = this.#options.config;
    const app = new App({ ...this.#options, config, ...(running !== undefined && { running }) });
    this.#preparation = app;
    try {
      await app.prepare();
      this.#started = app.started;
    } finally {
      await app.stop();
    }
  }

  async #replaceAll(): Promise<void> {
    const { log } = this.#options;
    log.info("the workers are replaced one after the other");
    try {
      for (const slot of this.#slots) {
        if (this.#stopped !== undefined) {
          return;
        }
        await slot.replace();
      }
      log.info("all workers are replaced");
    } catch (error) {
      if (this.#stopped === undefined) {
        log.error({ err: error }, "a new worker cannot start; the others are kept as they are");
      }
    }
  }

  #kill(): void {
    for (const slot of this.#slots) {
      slot.kill();
    }
  }
}
