import { keyTextOf } from "../domain/api-key.ts";
import type { Clock } from "../domain/clock.ts";
import type { Principal } from "../domain/principal.ts";

export type AuthenticateOptions = {
  /** Looks a key up by the SHA-256 of its text, in lower-case hexadecimal, and says how long it is valid, where it ends. */
  readonly find: (hash: string) => Promise<{ readonly principal: Principal; readonly validMs?: number } | undefined>;
  readonly clock: Clock;
};

/** How long an answer is kept at most. A revoked key is refused everywhere after this; one that expires, when it does. */
const ttlMs = 5_000;

/** Answers of one kind that are kept: a flood of bad keys cannot drive out the good ones. */
const entriesMax = 10_000;

/**
 * Makes the function that says who a key stands for. Only hashes of keys are kept. Calls for one key that is being
 * looked up share the look-up. A failure of `find` is thrown and not kept.
 */
export function createAuthenticate({
  find,
  clock,
}: AuthenticateOptions): (key: string) => Promise<Principal | undefined> {
  const known = new AnswerCache<Principal>(clock);
  const unknown = new AnswerCache<undefined>(clock);
  const pending = new Map<string, Promise<Principal | undefined>>();

  const lookUp = async (hash: string): Promise<Principal | undefined> => {
    // The answer is as old as the question: a key revoked meanwhile may not live longer for it.
    const time = clock.now();
    const found = await find(hash);
    if (found) {
      known.set(hash, { time, keptMs: Math.min(ttlMs, found.validMs ?? ttlMs), value: found.principal });
    } else {
      unknown.set(hash, { time, keptMs: ttlMs, value: undefined });
    }
    return found?.principal;
  };

  return async (key) => {
    if (!/^(tk|pk)[\x21-\x7e]{16,200}$/.test(key)) {
      return undefined;
    }
    const { hash } = keyTextOf(key);
    const answer = known.get(hash) ?? unknown.get(hash);
    if (answer) {
      return answer.value;
    }
    const shared = pending.get(hash) ?? lookUp(hash).finally(() => pending.delete(hash));
    pending.set(hash, shared);
    return shared;
  };
}

type Answer<Value> = { readonly time: number; readonly keptMs: number; readonly value: Value };

class AnswerCache<Value> {
  readonly #clock: Clock;
  readonly #answers = new Map<string, Answer<Value>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(hash: string): Answer<Value> | undefined {
    const answer = this.#answers.get(hash);
    // The distance in both directions: a clock that is set back must not keep an answer alive.
    if (answer && Math.abs(this.#clock.now() - answer.time) >= answer.keptMs) {
      this.#answers.delete(hash);
      return undefined;
    }
    return answer;
  }

  set(hash: string, answer: Answer<Value>): void {
    this.#answers.delete(hash);
    this.#answers.set(hash, answer);
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > entriesMax && oldest !== undefined) {
      this.#answers.delete(oldest);
    }
  }
}
