import type { Clock } from "../../domain/clock.ts";
import { RequestError } from "../../domain/request-error.ts";
import { AddressRate } from "../limits/address-rate-limit.ts";

export type KeyGuessLimits = {
  readonly keyLookUpsPerAddressMax: number;
  readonly keyLookUpsWaitingMax: number;
};

/** How many keys without a checksum are looked up: in a second for each address, and at a time in all. */
export class KeyGuesses {
  readonly #limits: KeyGuessLimits;
  readonly #rate: AddressRate;
  #waiting = 0;

  constructor(limits: KeyGuessLimits, clock: Clock) {
    this.#limits = limits;
    this.#rate = new AddressRate(limits.keyLookUpsPerAddressMax, clock);
  }

  /** Refuses with TOO_MANY_REQUESTS an address beyond its part, and with KEY_LOOKUPS_FULL where all wait that may. */
  async count<Result>(address: string, lookUp: () => Promise<Result>): Promise<Result> {
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
