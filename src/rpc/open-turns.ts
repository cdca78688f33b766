import { FairQueue } from "../domain/fair-queue.ts";

/** How long the process does other things between two answers. */
const pauseMs = 1;

/**
 * When calls that need no key are answered: one after the other, a millisecond apart, the addresses in turn. Whoever asks
 * without an end then takes a small part of the process's time, and waits behind itself.
 */
export class OpenTurns {
  readonly #waiting = new FairQueue<() => void>();
  #isPaused = false;

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
    }, pauseMs);
  }
}
