import type { Clock } from "../../domain/clock.ts";

const windowMs = 1_000;

/** How often each address does something in a second. */
export class AddressRate {
  readonly #max: number;
  readonly #clock: Clock;
  /** Since the window began. */
  #counts = new Map<string, number>();
  #windowTime = Number.NEGATIVE_INFINITY;

  constructor(max: number, clock: Clock) {
    this.#max = max;
    this.#clock = clock;
  }

  /** Whether an address may once more; counts it where it may. */
  take(address: string): boolean {
    if (this.isUsedUp(address)) return false;
    this.#counts.set(address, (this.#counts.get(address) ?? 0) + 1);
    return true;
  }

  /** Whether an address may do it no more for now. */
  isUsedUp(address: string): boolean {
    const now = this.#clock.now();
    // In both directions: a clock that is set back must not keep an address out.
    if (Math.abs(now - this.#windowTime) >= windowMs) {
      this.#windowTime = now;
      this.#counts = new Map();
    }
    return (this.#counts.get(address) ?? 0) >= this.#max;
  }
}
