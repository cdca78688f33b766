import type { Clock } from "../../domain/clock.ts";
import { LruMap } from "../../domain/collections/lru-map.ts";
import { RequestError } from "../../domain/request-error.ts";

/** Calls in one second for one wait, in this process. */
const callsMax = 10;
const windowMs = 1_000;

/** So many waits are counted at a time. One that was forgotten begins a new second. */
const waitsMax = 10_000;

/** A rate limit for each wait: a fixed-window counter of one second. */
export class CallRate {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #counts = new LruMap<string, { readonly since: number; count: number }>(waitsMax);

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** Throws RequestError with TOO_MANY_REQUESTS. */
  take(wait: string): void {
    const now = this.#clock.monotonic();
    const known = this.#counts.get(wait);
    if (known === undefined || now - known.since >= windowMs) {
      this.#counts.set(wait, { since: now, count: 1 });
    } else if (known.count >= callsMax) {
      throw new RequestError(
        "TOO_MANY_REQUESTS",
        `A waiting node takes ${callsMax} calls a second (limit webhook_calls). Try again later.`,
        { metadata: { limit: "webhook_calls", value: String(callsMax) }, retryAfterSeconds: 1 },
      );
    } else {
      known.count += 1;
    }
  }
}
