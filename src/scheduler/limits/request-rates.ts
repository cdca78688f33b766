import type { Limits } from "../../domain/limits.ts";
import type { Principal } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";

/** A key or an organisation, by its id, and how many requests a second come with it. */
export type RequestRate = readonly [id: string, perSecond: number];

type Bucket = {
  readonly max: number;
  /** How many requests it may take at once. */
  tokens: number;
  filledTime: number;
  /** Requests since the last measure, those that were refused included. */
  asked: number;
  perSecond: number;
};

/**
 * How many requests come with each key, and with all keys of an organisation, and whether one more may. Each has a bucket
 * that holds the requests of a second and fills evenly.
 *
 * Where a key is used at several processes, each lets through its part of the limit: the part that it has of all that is
 * asked with the key. What is asked elsewhere is as the others told last. An organisation's part is found in the same way.
 */
export class RequestRates {
  readonly #keyMax: number;
  readonly #organizationMax: number;
  readonly #buckets = new Map<string, Bucket>();
  #elsewhere: ReadonlyMap<string, number> = new Map();
  #measuredTime = performance.now();

  constructor({ keyRequestsMax, organizationRequestsMax }: Pick<Limits, "keyRequestsMax" | "organizationRequestsMax">) {
    this.#keyMax = keyRequestsMax;
    // One key may have all that its organisation has.
    this.#organizationMax = Math.max(keyRequestsMax, organizationRequestsMax);
  }

  /** Counts a request. Throws RequestError where it is one too many. */
  take({ keyId, organizationId }: Pick<Principal, "keyId" | "organizationId">): void {
    const key = this.#fill(keyId, this.#keyMax);
    const organization = this.#fill(organizationId, this.#organizationMax);
    if (key.tokens < 1) throw tooManyRequests("key_requests", key.max);
    if (organization.tokens < 1) throw tooManyRequests("organization_requests", organization.max);
    key.tokens -= 1;
    organization.tokens -= 1;
  }

  /** How many requests a second came with each since the last measure. */
  measure(): readonly RequestRate[] {
    const now = performance.now();
    const seconds = Math.max(0.001, (now - this.#measuredTime) / 1000);
    this.#measuredTime = now;
    const rates: RequestRate[] = [];
    for (const [id, bucket] of this.#buckets) {
      bucket.perSecond = bucket.asked / seconds;
      if (bucket.asked > 0) rates.push([id, Math.ceil(bucket.perSecond)]);
      // A bucket that has had the time to fill is like none.
      else if (now - bucket.filledTime > 10_000) this.#buckets.delete(id);
      bucket.asked = 0;
    }
    return rates;
  }

  /** Takes over what the other processes measured, one list after the other. */
  hearElsewhere(rates: readonly RequestRate[]): void {
    const elsewhere = new Map<string, number>();
    for (const [id, perSecond] of rates) elsewhere.set(id, (elsewhere.get(id) ?? 0) + perSecond);
    this.#elsewhere = elsewhere;
  }

  /** A bucket with what time has brought, which a request asks. */
  #fill(id: string, max: number): Bucket {
    const now = performance.now();
    let bucket = this.#buckets.get(id);
    if (bucket === undefined) {
      bucket = { max, tokens: max, filledTime: now, asked: 0, perSecond: 0 };
      this.#buckets.set(id, bucket);
    }
    const filled = ((now - bucket.filledTime) / 1000) * this.#part(id, bucket);
    bucket.tokens = Math.min(max, bucket.tokens + filled);
    bucket.filledTime = now;
    bucket.asked += 1;
    return bucket;
  }

  /** How many requests a second this process lets through. */
  #part(id: string, { max, perSecond }: Bucket): number {
    const elsewhere = this.#elsewhere.get(id) ?? 0;
    if (elsewhere + perSecond <= max) return max - elsewhere;
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
