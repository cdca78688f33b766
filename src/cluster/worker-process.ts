import cluster, { type Worker } from "node:cluster";
import type { Logger } from "pino";
import { systemClock } from "../domain/clock.ts";
import { valueWithin } from "../domain/deadline.ts";
import type { MetricsSnapshot } from "../metrics/metrics-snapshot.ts";
import { type WorkerOrder, workerReport } from "./worker-messages.ts";
import type { WorkerMetrics } from "./worker-metrics.ts";

/** How often the silence of a process is checked. */
const checkMs = 250;

/** A process may be silent for this long until it accepts calls: it loads its code meanwhile. */
const startMs = 60_000;

export type WorkerProcessOptions = {
  readonly port: number;
  /** The longest silence of a process that accepts calls. */
  readonly silenceMs: number;
  /** Absent where there are none. */
  readonly metrics?: WorkerMetrics | undefined;
  readonly log: Logger;
};

/** The process said itself why it cannot start. Another one would say the same. */
export class WorkerStartError extends Error {
  constructor(causes: readonly string[]) {
    const [message = "it gave no reason", ...rest] = causes;
    super(message, rest.length === 0 ? {} : { cause: new WorkerStartError(rest) });
    this.name = "WorkerStartError";
  }
}

/** One process of a worker, from its fork to its exit. A process whose heartbeat ceases is killed. */
export class WorkerProcess {
  /** The URL at which it accepts calls. Rejects if it ends before. */
  readonly ready: Promise<string>;
  /** Settles with the manner of its end. */
  readonly exited: Promise<string>;
  readonly #options: WorkerProcessOptions;
  readonly #worker: Worker;
  #snapshot: PromiseWithResolvers<MetricsSnapshot> | undefined;
  readonly #whenReady = Promise.withResolvers<string>();
  #isOrdered = false;
  #isReady = false;
  #isStopping = false;
  /** Monotonic times. */
  #reportTime = performance.now();
  #checkTime = performance.now();

  constructor(options: WorkerProcessOptions) {
    this.#options = options;
    this.ready = this.#whenReady.promise;
    this.ready.catch(() => undefined);
    this.#worker = cluster.fork();
    this.#worker.on("message", (message: unknown) => this.#receive(message));
    // `setImmediate` reads the reports first that arrived while this process was busy or suspended itself.
    const timer = setInterval(() => setImmediate(() => this.#checkSilence()), checkMs);
    options.metrics?.add(this);
    this.exited = this.#whenExited().then((reason) => {
      clearInterval(timer);
      options.metrics?.remove(this);
      this.#whenReady.reject(new Error(`it ended before it accepted calls: ${reason}`));
      return reason;
    });
  }

  get id(): number {
    return this.#worker.id;
  }

  /** Graceful shutdown. Settles when the process has ended. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#order({ kind: "stop" });
    await this.exited;
  }

  /** Asks the process for its metrics; undefined where it does not answer within the time. */
  async readMetrics(ms: number): Promise<MetricsSnapshot | undefined> {
    if (!this.#isReady || !this.#worker.isConnected()) {
      return undefined;
    }
    this.#snapshot ??= Promise.withResolvers();
    const { promise } = this.#snapshot;
    this.#order({ kind: "metrics" });
    return await valueWithin(ms, promise, { signal: AbortSignal.timeout(ms), clock: systemClock });
  }

  kill(): void {
    this.#worker.process.kill("SIGKILL");
  }

  #whenExited(): Promise<string> {
    const worker = this.#worker;
    return new Promise((resolve) => {
      worker.once("exit", (code: number, signal?: string) => resolve(signal ?? `exit status ${code}`));
      worker.on("error", (error) => {
        // The fork failed. Other errors are of messages to a process that has just ended.
        if (worker.process.pid === undefined) {
          resolve(String(error));
        }
      });
    });
  }

  #receive(message: unknown): void {
    const report = workerReport.safeParse(message).data;
    this.#reportTime = performance.now();
    if (!this.#isOrdered) {
      this.#isOrdered = true;
      this.#order(this.#isStopping ? { kind: "stop" } : { kind: "start", port: this.#options.port });
    }
    if (report?.kind === "ready") {
      this.#isReady = true;
      this.#whenReady.resolve(report.url);
    } else if (report?.kind === "metrics") {
      this.#snapshot?.resolve(report.snapshot);
      this.#snapshot = undefined;
    } else if (report?.kind === "failed") {
      this.#whenReady.reject(new WorkerStartError(report.causes));
    }
  }

  #order(order: WorkerOrder): void {
    if (this.#worker.isConnected()) {
      this.#worker.send(order);
    }
  }

  #checkSilence(): void {
    const now = performance.now();
    // This process was suspended itself, mostly together with its workers.
    if (now - this.#checkTime > 4 * checkMs) {
      this.#reportTime = now;
    }
    this.#checkTime = now;
    const silentMs = now - this.#reportTime;
    if (silentMs > (this.#isReady ? this.#options.silenceMs : startMs)) {
      this.#options.log.error({ worker: this.id, ms: Math.round(silentMs) }, "a worker hangs and is killed");
      this.kill();
    }
  }
}
