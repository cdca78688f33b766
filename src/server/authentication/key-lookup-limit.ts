import type { Clock } from "../../domain/clock.ts";
import { RequestError } from "../../domain/request-error.ts";
import { AddressRateLimit } from "../limits/address-rate-limit.ts";

export type KeyLookupLimits = {
  readonly keyLookUpsPerAddressMax: number;
  readonly keyLookUpsWaitingMax: number;
};

/**
 * Limits brute-force attacks on API keys: the look-ups of keys without a checksum, in a second for each client address,
 * and at a time in all.
 */
export class KeyLookupLimit {
  readonly #limits: KeyLookupLimits;
  readonly #rate: AddressRateLimit;
  #waiting = 0;

  constructor(limits: KeyLookupLimits, clock: Clock) {
    this.#limits = limits;
    this.#rate = new AddressRateLimit(limits.keyLookUpsPerAddressMax, clock);
  }

  /** Throws TOO_MANY_REQUESTS if the address exceeds its rate, and KEY_LOOKUPS_FULL if too many look-ups wait. */
  async run<Result>(address: string, lookUp: () => Promise<Result>): Promise<Result> {
    const { keyLookUpsPerAddressMax: max, keyLookUpsWaitingMax: waitingMax } = this.#limits;
    if (!this.#rate.take(address)) {
      const message = `More than ${max} unknown API keys a second came from this address (limit key_lookups). Try again later.`;
      const metadata = { limit: "key_lookups", value: String(max) };
      throw new RequestError("TOO_MANY_REQUESTS", message, { metadata, retryAfterSeconds: 1 });
    }
    if (this.#waiting >= waitingMax) {
      const message = `${waitingMax} API keys are being looked up (limit key_lookups_waiting). Try again later.`;
      const metadata = { limit: "key_lookups_waiting", value: String(waitingMax) };
      throw new RequestError("KEY_LOOKUPS_FULL", message, { metadata, retryAfterSeconds: 1 });
    }
    this.#waiting += 1;
    try {
      return await lookUp();
    } finally {
      this.#waiting -= 1;
    }
  }
}
