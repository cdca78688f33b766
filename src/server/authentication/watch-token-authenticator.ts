import type { Clock } from "../../domain/clock.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import type { Principal } from "../../domain/principal.ts";
import { tokenExpired, type WatchTokens } from "../../scheduler/encryption/watch-tokens.ts";
import type { Authenticator } from "./authenticator.ts";

export type TokenBearersOptions = {
  readonly tokens: Pick<WatchTokens, "read">;
  readonly keys: Pick<Authenticator, "authenticateName" | "untilNameEnded">;
  readonly clock: Clock;
};

/** Who calls with a watch token: the key that made it, for one execution. What is forged costs no look-up. */
export class TokenBearers {
  readonly #options: TokenBearersOptions;

  constructor(options: TokenBearersOptions) {
    this.#options = options;
  }

  /** Refuses with INVALID_WATCH_TOKEN, and with TOKEN_EXPIRED where the token or its key has ended. */
  async admit(token: string): Promise<Principal> {
    const { tokens, keys } = this.#options;
    const grant = tokens.read(token);
    const principal = await keys.authenticateName(grant);
    if (principal === undefined) throw tokenExpired();
    return { ...principal, executionId: grant.executionId };
  }

  /** Settles when a token that was good is so no longer; rejects when the signal aborts. */
  async untilEnded(token: string, signal: AbortSignal): Promise<void> {
    const { tokens, keys, clock } = this.#options;
    const grant = tokens.read(token);
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const ends = [
      keys.untilNameEnded(grant, either),
      clock.wait(Math.max(0, grant.expireTime.getTime() - clock.now()), either),
    ];
    await Promise.race(ends).finally(() => {
      over.abort(noLongerNeeded);
      return Promise.allSettled(ends);
    });
  }
}
