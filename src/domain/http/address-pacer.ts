import { FairQueue } from "../collections/fair-queue.ts";

/**
 * Paces work for callers without an API key: one piece at a time with a pause in between, and the addresses round-robin. A
 * flood from one address takes a small share of the process's time and delays only that address.
 */
export class AddressPacer {
  readonly #waiting = new FairQueue<() => void>();
  readonly #pauseMs: number;
  #isPaused = false;

  /** @param pauseMs the pause between two pieces of work */
  constructor(pauseMs: number) {
    this.#pauseMs = pauseMs;
  }

  /** Settles when the address may go on. */
  async take(address: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push([address], resolve);
    this.#pause();
    await promise;
  }

  #pause(): void {
    if (this.#isPaused) {
      return;
    }
    this.#isPaused = true;
    setTimeout(() => {
      this.#isPaused = false;
      this.#waiting.shift()?.();
      if (this.#waiting.size > 0) {
        this.#pause();
      }
    }, this.#pauseMs);
  }
}
