import { FairQueue } from "../domain/fair-queue.ts";

/**
 * The turns of one thread, for work that waits for nothing: a run of many nodes, a replay, a definition that is compiled.
 * Such work goes on in microtasks, and nothing else would run before its end. So it asks at each step whether the slice
 * is over, and waits for another turn where it is. Turns go to organisations and environments by turns, a slice in each
 * turn of the event loop, so that whoever has much to do waits behind itself. One for the process.
 */
export class Turns {
  readonly #waiting = new FairQueue<() => void>();
  readonly #sliceMs: number;
  #sliceStart = 0;
  /** Whether a slice has begun in this turn of the event loop. */
  #hasBegun = false;
  #isPassing = false;

  /** @param sliceMs how long work may hold the thread before others get it: I/O, timers, the lease */
  constructor({ sliceMs = 5 } = {}) {
    this.#sliceMs = sliceMs;
  }

  /** Whether the slice is over: then wait for the next turn. It begins with who asks first in a turn of the event loop. */
  get isOver(): boolean {
    if (this.#hasBegun) return performance.now() - this.#sliceStart > this.#sliceMs;
    this.#begin();
    return false;
  }

  /** Settles when it is the turn of those who wait under this path, as `[organizationId, environmentId]`. */
  async next(path: readonly string[]): Promise<void> {
    const turn = new Promise<void>((resolve) => this.#waiting.push(path, resolve));
    if (!this.#isPassing) this.#passSoon();
    await turn;
  }

  #begin(): void {
    this.#sliceStart = performance.now();
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    setImmediate(() => {
      this.#hasBegun = false;
    });
  }

  #passSoon(): void {
    this.#isPassing = true;
    setImmediate(() => {
      this.#begin();
      this.#pass();
    });
  }

  /** Passes the slice on from one to the next. What takes little time goes on together, and shares its statements then. */
  #pass(): void {
    this.#waiting.shift()?.();
    // A nextTick callback that a microtask schedules runs when no microtask is left, and so behind what the owner does.
    queueMicrotask(() => process.nextTick(() => this.#goOn()));
  }

  #goOn(): void {
    if (this.#waiting.size === 0) this.#isPassing = false;
    else if (this.isOver) this.#passSoon();
    else this.#pass();
  }
}
