import type { Clock } from "../../domain/clock.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import type { Principal } from "../../domain/principal.ts";
import { tokenExpired, type WatchTokens } from "../../scheduler/encryption/watch-tokens.ts";
import type { TokenAuthenticator } from "./access-control.ts";
import type { Authenticator } from "./authenticator.ts";

export type WatchTokenAuthenticatorOptions = {
  readonly tokens: Pick<WatchTokens, "read">;
  readonly keys: Pick<Authenticator, "authenticateName" | "untilNameEnded">;
  readonly clock: Clock;
};

/**
 * Authenticates watch tokens. The principal is the key that made the token, limited to one execution. The signature is
 * verified first, so that a forged token costs no look-up.
 */
export class WatchTokenAuthenticator implements TokenAuthenticator {
  readonly #options: WatchTokenAuthenticatorOptions;

  constructor(options: WatchTokenAuthenticatorOptions) {
    this.#options = options;
  }

  /** Throws INVALID_WATCH_TOKEN, and TOKEN_EXPIRED if the token has expired or its key has ended. */
  async authenticate(token: string): Promise<Principal> {
    const { tokens, keys } = this.#options;
    const grant = tokens.read(token);
    const principal = await keys.authenticateName(grant);
    if (principal === undefined) {
      throw tokenExpired();
    }
    return { ...principal, executionId: grant.executionId };
  }

  /** Settles when the token expires or its key ends; rejects when the signal aborts. */
  async untilEnded(token: string, signal: AbortSignal): Promise<void> {
    const { tokens, keys, clock } = this.#options;
    const grant = tokens.read(token);
    const settled = new AbortController();
    const eitherSignal = AbortSignal.any([signal, settled.signal]);
    const ends = [
      keys.untilNameEnded(grant, eitherSignal),
      clock.wait(Math.max(0, grant.expireTime.getTime() - clock.now()), eitherSignal),
    ];
    await Promise.race(ends).finally(() => {
      settled.abort(noLongerNeeded);
      return Promise.allSettled(ends);
    });
  }
}
