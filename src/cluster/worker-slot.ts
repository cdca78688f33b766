import { setTimeout as sleep } from "node:timers/promises";
import { WorkerProcess, type WorkerProcessOptions, WorkerStartError } from "./worker-process.ts";

/** A worker whose processes die this often within the time ends the service: it would go on so, and a supervisor restarts it. */
const deathsMax = 3;
const deathsMs = 60_000;

/** The pause before a process that died is replaced; it is four times as long after each further death. */
const backoffMs = 200;

export type WorkerSlotOptions = WorkerProcessOptions & {
  /** Called when processes of this worker die again and again. */
  readonly onFailed: (error: Error) => void;
};

/** Keeps one worker running: a process that dies is replaced. */
export class WorkerSlot {
  readonly #options: WorkerSlotOptions;
  readonly #processes = new Set<WorkerProcess>();
  readonly #stopping = new AbortController();
  /** The process that serves; another one may be starting to replace it. */
  #current: WorkerProcess | undefined;
  #deathTimes: readonly number[] = [];

  constructor(options: WorkerSlotOptions) {
    this.#options = options;
  }

  /** Settles with the URL when the worker accepts calls. */
  async start(): Promise<string> {
    for (;;) {
      const process = this.#fork();
      try {
        const url = await process.ready;
        void this.#takeOver(process);
        return url;
      } catch (error) {
        this.#stopping.signal.throwIfAborted();
        // At the start of the service its reason is for whoever starts it; later it may pass.
        if (error instanceof WorkerStartError && this.#current === undefined) {
          throw error;
        }
        await this.#backOff(error);
      }
    }
  }

  /** Replaces the process by a new one, which accepts calls before the old one stops. */
  async replace(): Promise<void> {
    const process = this.#fork();
    await process.ready;
    await this.#takeOver(process);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([...this.#processes].map((process) => process.stop()));
  }

  kill(): void {
    for (const process of this.#processes) {
      process.kill();
    }
  }

  #fork(): WorkerProcess {
    const process = new WorkerProcess(this.#options);
    this.#processes.add(process);
    void process.exited.then(() => this.#processes.delete(process));
    return process;
  }

  /** Makes a process the one that serves. Settles when the one before has stopped. */
  async #takeOver(process: WorkerProcess): Promise<void> {
    const old = this.#current;
    this.#current = process;
    void process.exited.then((reason) => this.#revive(process, reason));
    await old?.stop();
  }

  /** Replaces a process that ended, unless it has been replaced or the service stops. */
  async #revive(process: WorkerProcess, reason: string): Promise<void> {
    const { log, onFailed } = this.#options;
    const isNeeded = () => process === this.#current && !this.#stopping.signal.aborted;
    if (!isNeeded()) {
      return;
    }
    log.error({ worker: process.id, reason }, "a worker ended and is replaced");
    try {
      await this.#backOff(new Error(`its process ended: ${reason}`));
      if (isNeeded()) {
        await this.start();
      }
    } catch (error) {
      if (!this.#stopping.signal.aborted) {
        onFailed(error instanceof Error ? error : new Error(String(error)));
      }
    }
  }

  /** Counts a death, and waits until the next process may start. Throws if there were too many, or the service stops. */
  async #backOff(cause: unknown): Promise<void> {
    const now = performance.now();
    this.#deathTimes = [...this.#deathTimes.filter((time) => now - time < deathsMs), now];
    const deaths = this.#deathTimes.length;
    if (deaths >= deathsMax) {
      throw new Error(`a worker died ${deaths} times within a minute`, { cause });
    }
    await sleep(backoffMs * 4 ** (deaths - 1), undefined, { signal: this.#stopping.signal });
  }
}
