import { FairQueue } from "../fair-queue.ts";

/**
 * When what nobody has shown a key for is done: one after the other, a pause apart, the addresses in turn. Whoever asks
 * without an end then takes a small part of the process's time, and waits behind itself.
 */
export class AddressPacer {
  readonly #waiting = new FairQueue<() => void>();
  readonly #pauseMs: number;
  #isPaused = false;

  /** @param pauseMs how long the process does other things between two of them */
  constructor(pauseMs: number) {
    this.#pauseMs = pauseMs;
  }

  /** Settles when it is the address's turn. */
  async take(address: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push([address], resolve);
    this.#pause();
    await promise;
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    setTimeout(() => {
      this.#isPaused = false;
      this.#waiting.shift()?.();
      if (this.#waiting.size > 0) this.#pause();
    }, this.#pauseMs);
  }
}
