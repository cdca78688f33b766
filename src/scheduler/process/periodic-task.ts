import { AsyncLocalStorage } from "node:async_hooks";
import type { Logger } from "pino";
import type { Service } from "../../domain/service.ts";

export type LoopOptions = {
  /** What the log calls it. */
  readonly name: string;
  readonly everyMs: number;
  readonly turn: () => Promise<void>;
  /** In how many milliseconds the next turn is due, where that is sooner. Asked after each turn that did not fail. */
  readonly dueInMs?: () => number | undefined;
  readonly log: Logger;
};

/**
 * Takes a turn again and again: `everyMs` after the end of the last one, or at once when woken. A turn that fails is
 * said in the log when the failures begin and when they end, and is tried again like any other.
 */
export class Loop implements Service {
  readonly #options: LoopOptions;
  /** A caller may wake a loop, and its turns are not taken for that caller: they run in the context it was made in. */
  readonly #inOwnContext = AsyncLocalStorage.snapshot();
  #turning: Promise<void> = Promise.resolve();
  readonly #firstTurn = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout | undefined;
  #isRunning = false;
  #isWoken = false;
  #isTurning = false;
  #isFailing = false;

  constructor(options: LoopOptions) {
    this.#options = options;
  }

  /** Settles after the first turn, however soon the next one is due. */
  async start(): Promise<void> {
    this.#isRunning = true;
    void this.#turn();
    await this.#firstTurn.promise;
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    clearTimeout(this.#timer);
    await this.#turning;
  }

  /** Takes the next turn now, or, if one is under way, right behind it. */
  wake(): void {
    this.#isWoken = true;
    if (this.#isRunning && !this.#isTurning) void this.#turn();
  }

  #turn(): Promise<void> {
    clearTimeout(this.#timer);
    this.#turning = this.#inOwnContext(() => this.#takeTurns());
    return this.#turning;
  }

  async #takeTurns(): Promise<void> {
    const { name, everyMs, turn, dueInMs, log } = this.#options;
    this.#isTurning = true;
    let nextMs = everyMs;
    do {
      this.#isWoken = false;
      try {
        await turn();
        nextMs = Math.min(everyMs, dueInMs?.() ?? everyMs);
        if (this.#isFailing) log.info({ loop: name }, "works again");
        this.#isFailing = false;
      } catch (error) {
        if (!this.#isFailing) log.warn({ loop: name, err: error }, "fails, and goes on trying");
        this.#isFailing = true;
        nextMs = everyMs;
        this.#isWoken = false;
      }
      this.#firstTurn.resolve();
    } while (this.#isRunning && this.#isWoken);
    this.#isTurning = false;
    if (this.#isRunning) this.#timer = setTimeout(() => void this.#turn(), nextMs);
  }
}
