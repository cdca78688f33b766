import type { Clock } from "../../domain/clock.ts";
import { RequestError } from "../../domain/request-error.ts";
import { AddressRateLimit } from "../limits/address-rate-limit.ts";

export type TarpitLimits = {
  readonly refusedKeysPerAddressMax: number;
  readonly refusedKeyMs: number;
};

/**
 * A tarpit: an address that keeps sending invalid keys gets its error responses late. Each of them costs as much as a
 * small call, and a client that waits for its responses sends fewer. Calls with valid keys are not delayed, whatever
 * their address is.
 */
export class Tarpit {
  readonly #limits: TarpitLimits;
  readonly #clock: Clock;
  readonly #rate: AddressRateLimit;

  constructor(limits: TarpitLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#rate = new AddressRateLimit(limits.refusedKeysPerAddressMax, clock);
  }

  /** Settles when the error may be sent, or when the client has disconnected. */
  async wait(error: unknown, { address, signal }: { readonly address: string; readonly signal: AbortSignal }) {
    if (!isUnauthenticated(error) || this.#rate.take(address)) {
      return;
    }
    await this.#clock.wait(this.#limits.refusedKeyMs, signal).catch(() => undefined);
  }
}

/** Whether a call is refused for its key or token, or for the number of keys that were tried. */
function isUnauthenticated(error: unknown): boolean {
  if (!(error instanceof RequestError)) {
    return false;
  }
  const { reason, details } = error;
  return unauthenticatedReasons.has(reason) || details.metadata?.["limit"] === "key_lookups";
}

const unauthenticatedReasons: ReadonlySet<RequestError["reason"]> = new Set([
  "INVALID_API_KEY",
  "MISSING_API_KEY",
  "INVALID_WATCH_TOKEN",
  "TOKEN_EXPIRED",
]);
