import { keyTextOf } from "../domain/api-key.ts";
import type { Clock } from "../domain/clock.ts";
import type { Principal } from "../domain/principal.ts";

export type AuthenticatorOptions = {
  /** Looks a key up by the SHA-256 of its text, in lower-case hexadecimal, and says how long it is valid, where it ends. */
  readonly find: (hash: string) => Promise<{ readonly principal: Principal; readonly validMs?: number } | undefined>;
  readonly clock: Clock;
};

/** How long an answer is kept at most. A revoked key is refused everywhere after this; one that expires, when it does. */
const ttlMs = 5_000;

/** How often it is asked whether a key is still good that holds a stream open, and how old the answer may be. */
const watchMs = 2_000;

/** Answers of one kind that are kept: a flood of bad keys cannot drive out the good ones. */
const entriesMax = 10_000;

/**
 * Says who a key stands for. Only hashes of keys are kept. Calls for one key that is being looked up share the look-up.
 * A failure of `find` is thrown and not kept.
 */
export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #known: AnswerCache<Principal>;
  readonly #unknown: AnswerCache<undefined>;
  readonly #pending = new Map<string, Promise<Principal | undefined>>();
  readonly #watches = new Set<() => void>();

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.#known = new AnswerCache(options.clock);
    this.#unknown = new AnswerCache(options.clock);
  }

  async authenticate(key: string): Promise<Principal | undefined> {
    if (!/^(tk|pk)[\x21-\x7e]{16,200}$/.test(key)) return undefined;
    return await this.#ask(keyTextOf(key).hash, ttlMs);
  }

  /** Drops what is kept of keys that have changed; of all where it is not said which. */
  forget(keyIds?: readonly string[]): void {
    this.#known.drop(({ keyId }) => keyIds?.includes(keyId) ?? true);
    // What is being looked up may have been read before the change.
    this.#pending.clear();
    for (const look of this.#watches) look();
  }

  /** Settles when a key that was good is so no longer; rejects when the signal aborts. */
  async untilEnded(key: string, signal: AbortSignal): Promise<void> {
    const { hash } = keyTextOf(key);
    for (let isGood = true; isGood; ) {
      await this.#untilLook(signal);
      // While the database is away nobody knows, and nothing comes over the stream either.
      isGood = await this.#ask(hash, watchMs).then(
        (principal) => principal !== undefined,
        () => true,
      );
    }
  }

  async #ask(hash: string, ageMaxMs: number): Promise<Principal | undefined> {
    const answer = this.#known.get(hash, ageMaxMs) ?? this.#unknown.get(hash, ageMaxMs);
    return answer ? answer.value : await (this.#pending.get(hash) ?? this.#lookUp(hash));
  }

  #lookUp(hash: string): Promise<Principal | undefined> {
    // The answer is as old as the question: a key revoked meanwhile may not live longer for it.
    const time = this.#options.clock.now();
    const answer = this.#options.find(hash).then(
      (found) => {
        if (this.#pending.get(hash) === answer) {
          this.#pending.delete(hash);
          if (found === undefined) this.#unknown.set(hash, { time, keptMs: ttlMs, value: undefined });
          else {
            const keptMs = Math.min(ttlMs, found.validMs ?? ttlMs);
            this.#known.set(hash, { time, keptMs, value: found.principal });
          }
        }
        return found?.principal;
      },
      (error: unknown) => {
        if (this.#pending.get(hash) === answer) this.#pending.delete(hash);
        throw error;
      },
    );
    this.#pending.set(hash, answer);
    return answer;
  }

  /** Settles after a while, or at once when something is forgotten; rejects when the signal aborts. */
  async #untilLook(signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const { promise: told, resolve } = Promise.withResolvers<void>();
    this.#watches.add(resolve);
    try {
      await Promise.race([told, this.#options.clock.wait(watchMs, AbortSignal.any([signal, over.signal]))]);
    } finally {
      this.#watches.delete(resolve);
      over.abort();
    }
  }
}

type Answer<Value> = { readonly time: number; readonly keptMs: number; readonly value: Value };

class AnswerCache<Value> {
  readonly #clock: Clock;
  readonly #answers = new Map<string, Answer<Value>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** One that is no older than asked. */
  get(hash: string, ageMaxMs: number): Answer<Value> | undefined {
    const answer = this.#answers.get(hash);
    if (answer === undefined) return undefined;
    // The distance in both directions: a clock that is set back must not keep an answer alive.
    const ageMs = Math.abs(this.#clock.now() - answer.time);
    if (ageMs >= answer.keptMs) this.#answers.delete(hash);
    return ageMs < Math.min(answer.keptMs, ageMaxMs) ? answer : undefined;
  }

  set(hash: string, answer: Answer<Value>): void {
    this.#answers.delete(hash);
    this.#answers.set(hash, answer);
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > entriesMax && oldest !== undefined) {
      this.#answers.delete(oldest);
    }
  }

  drop(isStale: (value: Value) => boolean): void {
    for (const [hash, { value }] of this.#answers) if (isStale(value)) this.#answers.delete(hash);
  }
}
