import type { Clock } from "../clock.ts";
import type { Limits } from "../limits.ts";
import type { Principal } from "../principal.ts";
import { RequestError } from "../request-error.ts";

/** The id of an API key or organisation, and how many requests per second it makes. */
export type RequestRate = readonly [id: string, perSecond: number];

type Bucket = {
  readonly max: number;
  tokens: number;
  /** The monotonic time of the last refill. */
  filledTime: number;
  /** Requests since the last measurement, including those that were rejected. */
  asked: number;
  perSecond: number;
};

/**
 * Rate limits by token bucket: one bucket for each API key and one for each organisation. A bucket holds the tokens of
 * one second and refills evenly.
 *
 * A key that is used at several processes has one limit over all of them: each process admits its share, in proportion to
 * the requests it gets, as the heartbeats of the others last reported theirs. Organisations are treated alike.
 */
export class RateLimiter {
  readonly #keyMax: number;
  readonly #organizationMax: number;
  readonly #buckets = new Map<string, Bucket>();
  #elsewhere: ReadonlyMap<string, number> = new Map();
  readonly #clock: Pick<Clock, "monotonic">;
  #measureTime: number;

  constructor(
    { keyRequestsMax, organizationRequestsMax }: Pick<Limits, "keyRequestsMax" | "organizationRequestsMax">,
    clock: Pick<Clock, "monotonic">,
  ) {
    this.#clock = clock;
    this.#measureTime = clock.monotonic();
    this.#keyMax = keyRequestsMax;
    // A single key may use up what its organisation has.
    this.#organizationMax = Math.max(keyRequestsMax, organizationRequestsMax);
  }

  /** Takes a token for a request. Throws RequestError where there is none. */
  take({ keyId, organizationId }: Pick<Principal, "keyId" | "organizationId">): void {
    const key = this.#fill(keyId, this.#keyMax);
    const organization = this.#fill(organizationId, this.#organizationMax);
    if (key.tokens < 1) {
      throw tooManyRequests("key_requests", key.max);
    }
    if (organization.tokens < 1) {
      throw tooManyRequests("organization_requests", organization.max);
    }
    key.tokens -= 1;
    organization.tokens -= 1;
  }

  /** The requests per second of each key and organisation since the last measurement. */
  measure(): readonly RequestRate[] {
    const now = this.#clock.monotonic();
    const seconds = Math.max(0.001, (now - this.#measureTime) / 1000);
    this.#measureTime = now;
    const rates: RequestRate[] = [];
    for (const [id, bucket] of this.#buckets) {
      bucket.perSecond = bucket.asked / seconds;
      if (bucket.asked > 0) {
        rates.push([id, Math.ceil(bucket.perSecond)]);
      }
      // A full bucket need not be kept.
      else if (now - bucket.filledTime > 10_000) {
        this.#buckets.delete(id);
      }
      bucket.asked = 0;
    }
    return rates;
  }

  /** Replaces what the other processes measured, in one list. */
  setElsewhere(rates: readonly RequestRate[]): void {
    const elsewhere = new Map<string, number>();
    for (const [id, perSecond] of rates) {
      elsewhere.set(id, (elsewhere.get(id) ?? 0) + perSecond);
    }
    this.#elsewhere = elsewhere;
  }

  /** Refills the bucket that a request is about to take from. */
  #fill(id: string, max: number): Bucket {
    const now = this.#clock.monotonic();
    let bucket = this.#buckets.get(id);
    if (bucket === undefined) {
      bucket = { max, tokens: max, filledTime: now, asked: 0, perSecond: 0 };
      this.#buckets.set(id, bucket);
    }
    const filled = ((now - bucket.filledTime) / 1000) * this.#shareOf(id, bucket);
    bucket.tokens = Math.min(max, bucket.tokens + filled);
    bucket.filledTime = now;
    bucket.asked += 1;
    return bucket;
  }

  /** The share of the limit, in requests per second, that this process admits. */
  #shareOf(id: string, { max, perSecond }: Bucket): number {
    const elsewhere = this.#elsewhere.get(id) ?? 0;
    if (elsewhere + perSecond <= max) {
      return max - elsewhere;
    }
    const here = Math.max(1, perSecond);
    return (max * here) / (here + elsewhere);
  }
}

const whose = { key_requests: "this API key", organization_requests: "the keys of this organisation" } as const;

function tooManyRequests(limit: keyof typeof whose, max: number): RequestError {
  const message = `More than ${max} requests a second came with ${whose[limit]} (limit ${limit}). Try again later.`;
  return new RequestError("TOO_MANY_REQUESTS", message, {
    metadata: { limit, value: String(max) },
    retryAfterSeconds: 1,
  });
}
