import type { CancelTimer, Clock } from "../../src/domain/clock.ts";

/** A clock that a test moves. */
export class ManualClock implements Clock {
  #now: number;
  #elapsed = 0;
  #timers: { readonly due: number; readonly fire: () => void }[] = [];

  constructor(now = Date.parse("2026-01-31T09:00:00Z")) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  /** Sets the clock, as somebody may set that of a machine: no time goes by. */
  set(now: number): void {
    this.#now = now;
  }

  wait(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const timer = { due: this.#elapsed + ms, fire: resolve };
      this.#timers.push(timer);
      signal?.addEventListener(
        "abort",
        () => {
          this.#timers = this.#timers.filter((one) => one !== timer);
          reject(signal.reason);
        },
        { once: true },
      );
    });
  }

  after(ms: number, fire: () => void): CancelTimer {
    const timer = { due: this.#elapsed + ms, fire };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  /** How many waits are under way. */
  get waiting(): number {
    return this.#timers.length;
  }

  advance(ms: number): void {
    this.#now += ms;
    this.#elapsed += ms;
    const due = this.#timers.filter((timer) => timer.due <= this.#elapsed);
    this.#timers = this.#timers.filter((timer) => timer.due > this.#elapsed);
    for (const timer of due) {
      timer.fire();
    }
  }
}
