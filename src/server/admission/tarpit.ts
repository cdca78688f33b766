import type { Clock } from "../../domain/clock.ts";
import { RequestError } from "../../domain/request-error.ts";
import { AddressRate } from "../limits/address-rate-limit.ts";

export type RefusalPaceLimits = {
  readonly refusedKeysPerAddressMax: number;
  readonly refusedKeyMs: number;
};

/**
 * Makes who sends bad keys without end wait for their refusals (a tarpit): each costs the process as much as a small
 * call, and whoever waits for answers sends so many fewer. Good keys are not touched, from whatever address they come.
 */
export class RefusalPace {
  readonly #limits: RefusalPaceLimits;
  readonly #clock: Clock;
  readonly #rate: AddressRate;

  constructor(limits: RefusalPaceLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#rate = new AddressRate(limits.refusedKeysPerAddressMax, clock);
  }

  /** Settles when an address may be told its refusal, or when it is gone. */
  async wait(error: unknown, { address, signal }: { readonly address: string; readonly signal: AbortSignal }) {
    if (!isOfKey(error) || this.#rate.take(address)) return;
    await this.#clock.wait(this.#limits.refusedKeyMs, signal).catch(() => undefined);
  }
}

/** Whether a caller is refused since nobody knows them: for their key, or for the number of keys that they tried. */
function isOfKey(error: unknown): boolean {
  if (!(error instanceof RequestError)) return false;
  const { reason, details } = error;
  return unknown.has(reason) || details.metadata?.["limit"] === "key_lookups";
}

const unknown: ReadonlySet<RequestError["reason"]> = new Set([
  "INVALID_API_KEY",
  "MISSING_API_KEY",
  "INVALID_WATCH_TOKEN",
  "TOKEN_EXPIRED",
]);
