import cluster from "node:cluster";
import type { Logger } from "pino";
import { App } from "../app.ts";
import type { Config } from "../config.ts";
import { causesOf } from "../process/causes-of.ts";
import { MemoryReclaimer } from "../process/memory-reclaimer.ts";
import { findEmbedded } from "../storage/embedded/embedded-postgres.ts";
import { type WorkerReport, workerOrder } from "./worker-messages.ts";

export type RunWorkerOptions = { readonly config: Config; readonly log: Logger };

/** How many heartbeats the supervisor expects in the time after which it kills a silent worker. */
const heartbeats = 5;

/** Runs one of several workers, as the supervisor's messages say, to its end. */
export function runWorker({ config, log }: RunWorkerOptions): void {
  const worker = new WorkerService({ config, log: log.child({ worker: cluster.worker?.id }) });
  // Ctrl-C in a terminal, systemd and others signal the supervisor and the workers alike; the supervisor alone decides.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => undefined);
  }
  process.on("message", (message: unknown) => {
    const order = workerOrder.safeParse(message).data;
    if (order?.kind === "start") {
      void worker.start(order.port);
    } else if (order?.kind === "stop") {
      void worker.stop();
    } else if (order?.kind === "metrics") {
      void worker.reportMetrics();
    }
  });
  setInterval(() => report({ kind: "alive" }), config.workerTimeoutMs / heartbeats);
  report({ kind: "alive" });
}

class WorkerService {
  readonly #options: RunWorkerOptions;
  #app: App | undefined;
  #isStopping = false;

  constructor(options: RunWorkerOptions) {
    this.#options = options;
  }

  async start(port: number): Promise<void> {
    const { config, log } = this.#options;
    try {
      const running = config.databaseUrl === undefined ? await findEmbedded(config.dataDir) : undefined;
      this.#app = new App({ config: { ...config, port }, log, ...(running !== undefined && { running }) });
      await this.#app.serve();
      report({ kind: "ready", url: this.#app.url });
      await new MemoryReclaimer().start();
    } catch (error) {
      if (!this.#isStopping) {
        report({ kind: "failed", causes: causesOf(error) });
        await this.#app?.stop().catch(() => undefined);
        process.exit(1);
      }
    }
  }

  async reportMetrics(): Promise<void> {
    const snapshot = await this.#app?.metrics?.snapshot();
    if (snapshot !== undefined) {
      report({ kind: "metrics", snapshot });
    }
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    try {
      await this.#app?.stop();
      process.exit(0);
    } catch (error) {
      this.#options.log.error({ err: error }, "the worker could not stop as it should");
      process.exit(1);
    }
  }
}

function report(message: WorkerReport): void {
  process.send?.(message);
}
