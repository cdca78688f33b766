import type { Clock } from "../../domain/clock.ts";
import { LruMap } from "../../domain/collections/lru-map.ts";

/** Entries of one cache: unknown keys have a cache of their own, so that a flood of them cannot evict valid keys. */
const entriesMax = 10_000;

/** A time by the clock that an operator may set, and by the monotonic one, which may stand still while the machine sleeps. */
export type CacheTime = { readonly now: number; readonly elapsed: number };

export type CacheEntry<Value> = { readonly lookupTime: CacheTime; readonly ttlMs: number; readonly value: Value };

/** Results of key look-ups by the hash of the key. An expired entry still tells that there was one. */
export class AuthenticationCache<Value> {
  readonly #clock: Clock;
  readonly #entries = new LruMap<string, CacheEntry<Value>>(entriesMax);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  time(): CacheTime {
    return { now: this.#clock.now(), elapsed: this.#clock.monotonic() };
  }

  /** Returns an entry that is not expired, and not older than `ageMaxMs`. */
  get(hash: string, ageMaxMs: number): CacheEntry<Value> | undefined {
    const { now, elapsed } = this.time();
    // An entry in use is set anew every few seconds, so that reading it need not count as a use.
    const entry = this.#entries.peek(hash);
    if (entry === undefined) {
      return undefined;
    }
    // The larger difference counts, and in both directions: a clock that is set back must not keep an entry alive.
    const ageMs = Math.max(elapsed - entry.lookupTime.elapsed, Math.abs(now - entry.lookupTime.now));
    return ageMs < Math.min(entry.ttlMs, ageMaxMs) ? entry : undefined;
  }

  /** Whether there is an entry, expired or not. */
  has(hash: string): boolean {
    return this.#entries.has(hash);
  }

  set(hash: string, entry: CacheEntry<Value>): void {
    this.#entries.set(hash, entry);
  }

  delete(hash: string): void {
    this.#entries.delete(hash);
  }

  /** Expires the entries whose value is stale. */
  expire(isStale: (value: Value) => boolean): void {
    for (const [hash, entry] of [...this.#entries.entries()]) {
      if (isStale(entry.value)) {
        this.#entries.set(hash, { ...entry, ttlMs: 0 });
      }
    }
  }
}
