import type { Clock } from "../../domain/clock.ts";
import { keyTextOf } from "../../domain/keys/api-key.ts";
import type { KeyOrigin } from "../../domain/keys/key-checksum.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import type { KeyName, Principal } from "../../domain/principal.ts";
import { KeyGuesses, type KeyGuessLimits } from "./key-lookup-limit.ts";

/** Who calls with a key, and how long it is valid still, where it ends. */
type Found = { readonly principal: Principal; readonly validMs?: number } | undefined;

export type AuthenticatorOptions = {
  /** Says of the text of a key whether it was made here, without asking anybody. */
  readonly originOf: (key: string) => KeyOrigin;
  /** Looks a key up by the SHA-256 of its text, in lower-case hexadecimal. */
  readonly find: (hash: string) => Promise<Found>;
  /** The same for keys that anybody may have made up, so that however many they are they hold up nothing else. */
  readonly findUnsigned: (hash: string) => Promise<Found>;
  /** Looks a key up by its name. */
  readonly findByName: (name: KeyName) => Promise<Found>;
  readonly limits: KeyGuessLimits;
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
 * A failure of a look-up is thrown and not kept.
 *
 * A text that says it was made here and was not is refused at once. One that says nothing is looked up apart from the
 * others and counted for its sender's address, unless it was good when it was looked up last.
 */
export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #known: AnswerCache<Principal>;
  readonly #unknown: AnswerCache<undefined>;
  readonly #pending = new Map<string, Promise<Principal | undefined>>();
  readonly #watches = new Set<() => void>();
  readonly #guesses: KeyGuesses;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.#known = new AnswerCache(options.clock);
    this.#unknown = new AnswerCache(options.clock);
    this.#guesses = new KeyGuesses(options.limits, options.clock);
  }

  /** Refuses with TOO_MANY_REQUESTS where too many keys were tried that are not known. */
  async authenticate(key: string, address: () => string): Promise<Principal | undefined> {
    if (!/^(tk|pk)[\x21-\x7e]{16,200}$/.test(key)) return undefined;
    const { hash } = keyTextOf(key);
    return await (this.#kept(hash, ttlMs) ?? this.#ask(key, { hash, address }));
  }

  /** Drops what is kept of keys that have changed; of all where it is not said which. */
  forget(keyIds?: readonly string[]): void {
    this.#known.age(({ keyId }) => keyIds?.includes(keyId) ?? true);
    // What is being looked up may have been read before the change.
    this.#pending.clear();
    for (const look of this.#watches) look();
  }

  /** Says who a key stands for that is not there itself, but has signed for the caller. */
  async authenticateName(name: KeyName): Promise<Principal | undefined> {
    const known = nameText(name);
    return await (this.#kept(known, ttlMs) ?? this.#lookUp(known, () => this.#options.findByName(name)));
  }

  /** Settles when a key that was good is so no longer; rejects when the signal aborts. */
  async untilEnded(key: string, signal: AbortSignal): Promise<void> {
    await this.#untilEnded(keyTextOf(key).hash, this.#options.find, signal);
  }

  /** The same for a key by its name. */
  async untilNameEnded(name: KeyName, signal: AbortSignal): Promise<void> {
    await this.#untilEnded(nameText(name), () => this.#options.findByName(name), signal);
  }

  async #untilEnded(hash: string, find: AuthenticatorOptions["find"], signal: AbortSignal): Promise<void> {
    for (let isGood = true; isGood; ) {
      await this.#untilLook(signal);
      // While the database is away nobody knows, and nothing comes over the stream either.
      isGood = await (this.#kept(hash, watchMs) ?? this.#lookUp(hash, find)).then(
        (principal) => principal !== undefined,
        () => true,
      );
    }
  }

  /** What is known of a key without a look-up of its own. */
  #kept(hash: string, ageMaxMs: number): Promise<Principal | undefined> | undefined {
    const answer = this.#known.get(hash, ageMaxMs) ?? this.#unknown.get(hash, ageMaxMs);
    return answer ? Promise.resolve(answer.value) : this.#pending.get(hash);
  }

  #ask(key: string, { hash, address }: { readonly hash: string; readonly address: () => string }) {
    const { originOf, find, findUnsigned } = this.#options;
    const origin = originOf(key);
    if (origin === "FORGED") return undefined;
    if (origin === "MADE" || this.#known.has(hash)) return this.#lookUp(hash, find);
    return this.#guesses.count(address(), () => this.#lookUp(hash, findUnsigned));
  }

  #lookUp(hash: string, find: AuthenticatorOptions["find"]): Promise<Principal | undefined> {
    // The answer is as old as the question: a key revoked meanwhile may not live longer for it.
    const asked = this.#known.time();
    const answer = find(hash).then(
      (found) => {
        if (this.#pending.get(hash) === answer) {
          this.#pending.delete(hash);
          if (found === undefined) {
            this.#known.delete(hash);
            this.#unknown.set(hash, { asked, keptMs: ttlMs, value: undefined });
          } else {
            const keptMs = Math.min(ttlMs, found.validMs ?? ttlMs);
            this.#known.set(hash, { asked, keptMs, value: found.principal });
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
      over.abort(noLongerNeeded);
    }
  }
}

/** No hash has this form. */
function nameText({ environmentId, keyId }: KeyName): string {
  return `${environmentId} ${keyId}`;
}

/** A moment by the clock that somebody may set, and by the one that stands still while the machine sleeps. */
type Moment = { readonly now: number; readonly elapsed: number };

type Answer<Value> = { readonly asked: Moment; readonly keptMs: number; readonly value: Value };

/** Answers by hash; the oldest go first. One that is too old is no answer any more, and still tells that there was one. */
class AnswerCache<Value> {
  readonly #clock: Clock;
  readonly #answers = new Map<string, Answer<Value>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  time(): Moment {
    return { now: this.#clock.now(), elapsed: this.#clock.monotonic() };
  }

  /** One that is no older than asked. */
  get(hash: string, ageMaxMs: number): Answer<Value> | undefined {
    const answer = this.#answers.get(hash);
    if (answer === undefined) return undefined;
    const { now, elapsed } = this.time();
    // By the clock that says more, and in both directions: one that is set back must not keep an answer alive.
    const ageMs = Math.max(elapsed - answer.asked.elapsed, Math.abs(now - answer.asked.now));
    return ageMs < Math.min(answer.keptMs, ageMaxMs) ? answer : undefined;
  }

  has(hash: string): boolean {
    return this.#answers.has(hash);
  }

  set(hash: string, answer: Answer<Value>): void {
    this.#answers.delete(hash);
    this.#answers.set(hash, answer);
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > entriesMax && oldest !== undefined) {
      this.#answers.delete(oldest);
    }
  }

  delete(hash: string): void {
    this.#answers.delete(hash);
  }

  /** Makes answers too old. */
  age(isStale: (value: Value) => boolean): void {
    for (const [hash, answer] of this.#answers) {
      if (isStale(answer.value)) this.#answers.set(hash, { ...answer, keptMs: 0 });
    }
  }
}
