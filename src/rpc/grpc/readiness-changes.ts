import type { Clock } from "../../domain/clock.ts";

/** How often the readiness is polled. */
const pollMs = 250;

/** Notifies all watchers when the readiness of the process changes, by one timer for all of them. */
export class ReadinessChanges {
  readonly #isReady: () => boolean;
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #isPolling = false;

  constructor({ isReady, clock }: { readonly isReady: () => boolean; readonly clock: Clock }) {
    this.#isReady = isReady;
    this.#clock = clock;
  }

  /** Settles when the readiness changes, or when the signal aborts. */
  async next(signal: AbortSignal): Promise<void> {
    if (signal.aborted) {
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    this.#waiting.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    if (!this.#isPolling) {
      void this.#poll();
    }
    await promise;
    this.#waiting.delete(wake);
    signal.removeEventListener("abort", wake);
  }

  async #poll(): Promise<void> {
    this.#isPolling = true;
    for (let last = this.#isReady(); this.#waiting.size > 0; ) {
      await this.#clock.wait(pollMs);
      const isReady = this.#isReady();
      if (isReady === last) {
        continue;
      }
      last = isReady;
      for (const wake of this.#waiting) {
        wake();
      }
      this.#waiting.clear();
    }
    this.#isPolling = false;
  }
}
