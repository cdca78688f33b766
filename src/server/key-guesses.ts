import { isIPv6 } from "node:net";
import type { Clock } from "../domain/clock.ts";
import { RequestError } from "../domain/request-error.ts";

export type KeyGuessLimits = {
  readonly keyLookUpsPerAddressMax: number;
  readonly keyLookUpsWaitingMax: number;
};

const windowMs = 1_000;

/** How many keys without a checksum are looked up: in a second for each address, and at a time in all. */
export class KeyGuesses {
  readonly #limits: KeyGuessLimits;
  readonly #clock: Clock;
  /** Look-ups since the window began, by address. */
  #counts = new Map<string, number>();
  #windowTime = Number.NEGATIVE_INFINITY;
  #waiting = 0;

  constructor(limits: KeyGuessLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Refuses with TOO_MANY_REQUESTS an address beyond its part, and with UNAVAILABLE where all wait that may. */
  async count<Result>(address: string, lookUp: () => Promise<Result>): Promise<Result> {
    this.#take(networkOf(address));
    const { keyLookUpsWaitingMax: waitingMax } = this.#limits;
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

  #take(network: string): void {
    const now = this.#clock.now();
    // In both directions: a clock that is set back must not keep an address out.
    if (Math.abs(now - this.#windowTime) >= windowMs) {
      this.#windowTime = now;
      this.#counts = new Map();
    }
    const count = (this.#counts.get(network) ?? 0) + 1;
    const { keyLookUpsPerAddressMax: max } = this.#limits;
    if (count > max) {
      const message = `More than ${max} unknown API keys a second came from this address (limit key_lookups). Try again later.`;
      const metadata = { limit: "key_lookups", value: String(max) };
      throw new RequestError("TOO_MANY_REQUESTS", message, { metadata, retryAfterSeconds: windowMs / 1_000 });
    }
    this.#counts.set(network, count);
  }
}

/** What one subscriber has: an address of IPv4, or 64 bits of IPv6 (RFC 6177), of which anybody has as many as they like. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = "", tail] = address.split("%")[0]?.split("::") ?? [];
  const groups = (text = "") => (text === "" ? [] : text.split(":"));
  const [first, last] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => "0");
  return [...first, ...zeros, ...last].slice(0, 4).join(":");
}
