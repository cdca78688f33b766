import type { Clock } from "../../domain/clock.ts";
import { LruMap } from "../../domain/collections/lru-map.ts";
import { keyTextOf } from "../../domain/keys/api-key.ts";
import type { KeyOrigin } from "../../domain/keys/key-checksum.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import type { KeyName, Principal } from "../../domain/principal.ts";
import { KeyLookupLimit, type KeyLookupLimits } from "./key-lookup-limit.ts";

/** Entries of one cache: unknown keys have a cache of their own, so that a flood of them cannot evict valid keys. */
const entriesMax = 10_000;

/** A time by the clock that an operator may set, and by the monotonic one, which may stand still while the machine sleeps. */
type CacheTime = { readonly now: number; readonly elapsed: number };

type CacheEntry<Value> = { readonly lookupTime: CacheTime; readonly ttlMs: number; readonly value: Value };

/** Results of key look-ups by the hash of the key. An expired entry still tells that there was one. */
class AuthenticationCache<Value> {
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

/** The principal of a valid key, and for how long the key is still valid, if it expires. */
type Found = { readonly principal: Principal; readonly validMs?: number } | undefined;

export type AuthenticatorOptions = {
  /** Verifies the checksum of a key, without a look-up. */
  readonly originOf: (key: string) => KeyOrigin;
  /** Looks up a key by the SHA-256 of its text, in lower-case hexadecimal. */
  readonly find: (hash: string) => Promise<Found>;
  /** The same for keys without a checksum. Anybody can invent them, so they must not delay other look-ups. */
  readonly findUnsigned: (hash: string) => Promise<Found>;
  readonly findByName: (name: KeyName) => Promise<Found>;
  readonly limits: KeyLookupLimits;
  readonly clock: Clock;
};

/** Time to live of a cache entry: a revoked key is refused everywhere after this. An expiring key is not cached longer. */
const ttlMs = 5_000;

/** How often the key of an open stream is checked, and the maximum age of the cache entry that is used. */
const watchMs = 2_000;

/**
 * Authenticates API keys. Only hashes of keys are cached. Concurrent calls with one key share a look-up, and a failed
 * look-up is not cached.
 *
 * A key with a wrong checksum is refused without a look-up. Look-ups of keys without a checksum are limited by client
 * address, unless the key was valid at its last look-up.
 */
export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #valid: AuthenticationCache<Principal>;
  readonly #unknown: AuthenticationCache<undefined>;
  readonly #pending = new Map<string, Promise<Principal | undefined>>();
  readonly #watches = new Set<() => void>();
  readonly #lookupLimit: KeyLookupLimit;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.#valid = new AuthenticationCache(options.clock);
    this.#unknown = new AuthenticationCache(options.clock);
    this.#lookupLimit = new KeyLookupLimit(options.limits, options.clock);
  }

  /** Returns the principal at once where the key was looked up lately. Throws RequestError if too many unknown keys were tried. */
  authenticate(key: string, address: string): Principal | undefined | Promise<Principal | undefined> {
    if (!/^(tk|pk)[\x21-\x7e]{16,200}$/.test(key)) {
      return undefined;
    }
    const { hash } = keyTextOf(key);
    const valid = this.#valid.get(hash, ttlMs);
    return valid === undefined ? (this.#cached(hash, ttlMs) ?? this.#verify(key, { hash, address })) : valid.value;
  }

  /** Invalidates the cache entries of keys that have changed; without ids, of all keys. */
  invalidate(keyIds?: readonly string[]): void {
    this.#valid.expire(({ keyId }) => keyIds?.includes(keyId) ?? true);
    // A pending look-up may have read the key before the change.
    this.#pending.clear();
    for (const wake of this.#watches) {
      wake();
    }
  }

  /** Authenticates a caller who does not send the key, but a token that the key has signed. */
  async authenticateName(name: KeyName): Promise<Principal | undefined> {
    const cacheKey = nameKey(name);
    return await (this.#cached(cacheKey, ttlMs) ?? this.#lookUp(cacheKey, () => this.#options.findByName(name)));
  }

  /** Settles when a valid key is no longer valid; rejects when the signal aborts. */
  async untilEnded(key: string, signal: AbortSignal): Promise<void> {
    await this.#untilInvalid(keyTextOf(key).hash, this.#options.find, signal);
  }

  async untilNameEnded(name: KeyName, signal: AbortSignal): Promise<void> {
    await this.#untilInvalid(nameKey(name), () => this.#options.findByName(name), signal);
  }

  async #untilInvalid(hash: string, find: AuthenticatorOptions["find"], signal: AbortSignal): Promise<void> {
    for (let isValid = true; isValid; ) {
      await this.#waitForCheck(signal);
      // While the database is unavailable the key counts as valid: the stream delivers nothing then either.
      isValid = await (this.#cached(hash, watchMs) ?? this.#lookUp(hash, find)).then(
        (principal) => principal !== undefined,
        () => true,
      );
    }
  }

  /** The cached result, or the look-up that is pending. */
  #cached(hash: string, ageMaxMs: number): Promise<Principal | undefined> | undefined {
    const entry = this.#valid.get(hash, ageMaxMs) ?? this.#unknown.get(hash, ageMaxMs);
    return entry ? Promise.resolve(entry.value) : this.#pending.get(hash);
  }

  #verify(key: string, { hash, address }: { readonly hash: string; readonly address: string }) {
    const { originOf, find, findUnsigned } = this.#options;
    const origin = originOf(key);
    if (origin === "FORGED") {
      return undefined;
    }
    if (origin === "MADE" || this.#valid.has(hash)) {
      return this.#lookUp(hash, find);
    }
    return this.#lookupLimit.run(address, () => this.#lookUp(hash, findUnsigned));
  }

  #lookUp(hash: string, find: AuthenticatorOptions["find"]): Promise<Principal | undefined> {
    // The entry is as old as the start of the look-up: the key may be revoked in the meantime.
    const lookupTime = this.#valid.time();
    const result = find(hash).then(
      (found) => {
        if (this.#pending.get(hash) === result) {
          this.#pending.delete(hash);
          if (found === undefined) {
            this.#valid.delete(hash);
            this.#unknown.set(hash, { lookupTime, ttlMs, value: undefined });
          } else {
            const validMs = Math.min(ttlMs, found.validMs ?? ttlMs);
            this.#valid.set(hash, { lookupTime, ttlMs: validMs, value: found.principal });
          }
        }
        return found?.principal;
      },
      (error: unknown) => {
        if (this.#pending.get(hash) === result) {
          this.#pending.delete(hash);
        }
        throw error;
      },
    );
    this.#pending.set(hash, result);
    return result;
  }

  /** Settles after `watchMs`, or at once when a key is invalidated; rejects when the signal aborts. */
  async #waitForCheck(signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    const { promise: invalidated, resolve } = Promise.withResolvers<void>();
    this.#watches.add(resolve);
    try {
      await Promise.race([invalidated, this.#options.clock.wait(watchMs, AbortSignal.any([signal, woken.signal]))]);
    } finally {
      this.#watches.delete(resolve);
      woken.abort(noLongerNeeded);
    }
  }
}

/** The cache key of a key's name. No hash has this form. */
function nameKey({ environmentId, keyId }: KeyName): string {
  return `${environmentId} ${keyId}`;
}
