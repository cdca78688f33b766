import type { Clock } from "../../domain/clock.ts";

const windowMs = 1_000;

/** A rate limit for each client address: a fixed-window counter of one second. */
export class AddressRateLimit {
  readonly #max: number;
  readonly #clock: Clock;
  /** Counts of the current window. */
  #counts = new Map<string, number>();
  #windowTime = Number.NEGATIVE_INFINITY;

  constructor(max: number, clock: Clock) {
    this.#max = max;
    this.#clock = clock;
  }

  /** Counts one use, unless the limit is reached. False: it is reached. */
  take(address: string): boolean {
    if (this.isExceeded(address)) {
      return false;
    }
    this.#counts.set(address, (this.#counts.get(address) ?? 0) + 1);
    return true;
  }

  /** Whether any address has been counted in this window. */
  get isInUse(): boolean {
    return this.#counts.size > 0;
  }

  isExceeded(address: string): boolean {
    const now = this.#clock.now();
    // The difference counts in both directions: a clock that is set back must not lock an address out.
    if (Math.abs(now - this.#windowTime) >= windowMs) {
      this.#windowTime = now;
      this.#counts = new Map();
    }
    return (this.#counts.get(address) ?? 0) >= this.#max;
  }
}
