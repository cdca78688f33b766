import { AsyncLocalStorage } from "node:async_hooks";
import type { Logger } from "pino";
import type { Clock } from "../../domain/clock.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import type { Service } from "../../domain/service.ts";

export type PeriodicTaskOptions = {
  /** The name that the log uses. */
  readonly name: string;
  readonly everyMs: number;
  readonly runOnce: () => Promise<void>;
  /** Brings the next run forward. It is asked after each run that did not fail. */
  readonly dueInMs?: () => number | undefined;
  readonly clock: Clock;
  readonly log: Logger;
};

/**
 * Runs a background task periodically: `everyMs` after the end of the last run, or at once when woken. Runs never
 * overlap. The log says when a series of failures begins and when it ends; a failed run is repeated like any other.
 */
export class PeriodicTask implements Service {
  readonly #options: PeriodicTaskOptions;
  /** Whoever wakes the task lends it no async context: its runs belong to the context in which the task was made. */
  readonly #inOwnContext = AsyncLocalStorage.snapshot();
  #running: Promise<void> = Promise.resolve();
  readonly #firstRun = Promise.withResolvers<void>();
  #pause: AbortController | undefined;
  #isStarted = false;
  #isWoken = false;
  #isRunning = false;
  #isFailing = false;

  constructor(options: PeriodicTaskOptions) {
    this.#options = options;
  }

  /** Settles after the first run, however soon the next one is due. */
  async start(): Promise<void> {
    this.#isStarted = true;
    void this.#run();
    await this.#firstRun.promise;
  }

  async stop(): Promise<void> {
    this.#isStarted = false;
    this.#pause?.abort(noLongerNeeded);
    await this.#running;
  }

  /** Starts the next run now, or right behind the one that is under way. */
  wake(): void {
    this.#isWoken = true;
    if (this.#isStarted && !this.#isRunning) {
      void this.#run();
    }
  }

  #run(): Promise<void> {
    this.#pause?.abort(noLongerNeeded);
    this.#running = this.#inOwnContext(() => this.#runWhileWoken());
    return this.#running;
  }

  async #runWhileWoken(): Promise<void> {
    const { name, everyMs, runOnce, dueInMs, log } = this.#options;
    this.#isRunning = true;
    let nextMs = everyMs;
    do {
      this.#isWoken = false;
      try {
        await runOnce();
        nextMs = Math.min(everyMs, dueInMs?.() ?? everyMs);
        if (this.#isFailing) {
          log.info({ task: name }, "the periodic task works again");
        }
        this.#isFailing = false;
      } catch (error) {
        if (!this.#isFailing) {
          log.warn({ task: name, err: error }, "the periodic task fails and is repeated");
        }
        this.#isFailing = true;
        nextMs = everyMs;
        this.#isWoken = false;
      }
      this.#firstRun.resolve();
    } while (this.#isStarted && this.#isWoken);
    this.#isRunning = false;
    if (this.#isStarted) {
      this.#runAfter(nextMs);
    }
  }

  #runAfter(ms: number): void {
    const pause = new AbortController();
    this.#pause = pause;
    this.#options.clock.wait(Math.max(1, ms), pause.signal).then(
      () => void this.#run(),
      () => undefined,
    );
  }
}
