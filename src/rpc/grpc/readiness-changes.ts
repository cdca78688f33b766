import type { Clock } from "../../domain/clock.ts";

/** How often it is looked whether the process is ready. */
const lookMs = 250;

/** Tells all who watch whether the process is ready, by one timer however many they are. */
export class ReadinessChanges {
  readonly #isReady: () => boolean;
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #isLooking = false;

  constructor({ isReady, clock }: { readonly isReady: () => boolean; readonly clock: Clock }) {
    this.#isReady = isReady;
    this.#clock = clock;
  }

  /** Settles when the process is no longer as it is now, or when the signal aborts. */
  async next(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    this.#waiting.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    if (!this.#isLooking) void this.#look();
    await promise;
    this.#waiting.delete(wake);
    signal.removeEventListener("abort", wake);
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    for (let last = this.#isReady(); this.#waiting.size > 0; ) {
      await this.#clock.wait(lookMs);
      const isReady = this.#isReady();
      if (isReady === last) continue;
      last = isReady;
      for (const wake of this.#waiting) wake();
      this.#waiting.clear();
    }
    this.#isLooking = false;
  }
}
