import { RequestError } from "../domain/request-error.ts";

/** A key, and how many requests a second come with it. */
export type KeyRate = readonly [keyId: string, perSecond: number];

type Bucket = {
  /** How many requests it may take at once. */
  tokens: number;
  filledTime: number;
  /** Requests since the last measure, those that were refused included. */
  asked: number;
  perSecond: number;
};

/**
 * How many requests come with each key, and whether one more may. Each key has a bucket that holds the requests of a
 * second and fills evenly.
 *
 * Where a key is used at several processes, each lets through its part of the limit: the part that it has of all that is
 * asked with the key. What is asked elsewhere is as the others told last.
 */
export class RequestRates {
  readonly #max: number;
  readonly #buckets = new Map<string, Bucket>();
  #elsewhere: ReadonlyMap<string, number> = new Map();
  #measuredTime = performance.now();

  constructor({ keyRequestsMax }: { readonly keyRequestsMax: number }) {
    this.#max = keyRequestsMax;
  }

  /** Counts a request. Throws RequestError where it is one too many. */
  take(keyId: string): void {
    const now = performance.now();
    const bucket = this.#buckets.get(keyId) ?? { tokens: this.#max, filledTime: now, asked: 0, perSecond: 0 };
    this.#buckets.set(keyId, bucket);
    const filled = ((now - bucket.filledTime) / 1000) * this.#part(keyId, bucket);
    bucket.tokens = Math.min(this.#max, bucket.tokens + filled);
    bucket.filledTime = now;
    bucket.asked += 1;
    if (bucket.tokens < 1) throw tooManyRequests(this.#max);
    bucket.tokens -= 1;
  }

  /** How many requests a second came with each key since the last measure. */
  measure(): readonly KeyRate[] {
    const now = performance.now();
    const seconds = Math.max(0.001, (now - this.#measuredTime) / 1000);
    this.#measuredTime = now;
    const rates: KeyRate[] = [];
    for (const [keyId, bucket] of this.#buckets) {
      bucket.perSecond = bucket.asked / seconds;
      if (bucket.asked > 0) rates.push([keyId, Math.ceil(bucket.perSecond)]);
      // A bucket that has had the time to fill is like none.
      else if (now - bucket.filledTime > 10_000) this.#buckets.delete(keyId);
      bucket.asked = 0;
    }
    return rates;
  }

  /** Takes over what the other processes measured, one list after the other. */
  hearElsewhere(rates: readonly KeyRate[]): void {
    const elsewhere = new Map<string, number>();
    for (const [keyId, perSecond] of rates) elsewhere.set(keyId, (elsewhere.get(keyId) ?? 0) + perSecond);
    this.#elsewhere = elsewhere;
  }

  /** How many requests a second this process lets through. */
  #part(keyId: string, { perSecond }: Bucket): number {
    const elsewhere = this.#elsewhere.get(keyId) ?? 0;
    if (elsewhere + perSecond <= this.#max) return this.#max - elsewhere;
    const here = Math.max(1, perSecond);
    return (this.#max * here) / (here + elsewhere);
  }
}

function tooManyRequests(max: number): RequestError {
  const message = `More than ${max} requests a second came with this API key (limit key_requests). Try again later.`;
  return new RequestError("TOO_MANY_REQUESTS", message, {
    metadata: { limit: "key_requests", value: String(max) },
    retryAfterSeconds: 1,
  });
}
