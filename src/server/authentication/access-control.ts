import type { RequestHeaders } from "../../domain/http/call.ts";
import type { HttpExchange, Route } from "../../domain/http/protocol-handler.ts";
import { scopeWord } from "../../domain/keys/api-key.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import type { Principal } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import { tokenExpired, tokenInvalid } from "../../scheduler/encryption/watch-tokens.ts";

export type Keys = {
  /** Says who a key stands for that came from an address; undefined for a key that is not known or not one. */
  authenticate(key: string, address: () => string): Promise<Principal | undefined>;
  /** Settles when a key that was good is so no longer; rejects when the signal aborts. */
  untilEnded(key: string, signal: AbortSignal): Promise<void>;
};

/** The same for a token that stands in place of a key. `admit` throws RequestError for one that is not good. */
export type Tokens = {
  admit(token: string): Promise<Principal>;
  untilEnded(token: string, signal: AbortSignal): Promise<void>;
};

/** By what a caller shows who it is. */
export type Shown = { readonly headers: RequestHeaders; readonly token: string | undefined };

export type KeyWatch = { end(): Promise<void> };

export type AdmissionOptions = {
  readonly keys: Keys;
  readonly tokens: Tokens;
  /** Whether calls can be accepted: the service has started and the database answers. */
  readonly isReady: () => boolean;
};

/** Who may call, by the headers of a request alone. */
export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /**
   * Says who calls a route that needs a key, or throws why they may not. The order is part of the contract: it decides
   * which fault is named.
   */
  async admit(access: Exclude<Route["access"], "public">, shown: Shown, exchange: HttpExchange): Promise<Principal> {
    if (!this.#options.isReady()) {
      throw new RequestError("DATABASE_UNAVAILABLE", "The server cannot reach its database; try again.", {
        retryAfterSeconds: 1,
      });
    }
    const principal = await this.#identify(shown, exchange);
    if (!principal.scopes.includes(access)) {
      const scope = scopeWord(access);
      throw new RequestError("SCOPE_MISSING", `The API key lacks the scope ${scope}.`, { metadata: { scope } });
    }
    return principal;
  }

  async #identify({ headers, token }: Shown, exchange: HttpExchange): Promise<Principal> {
    const { keys, tokens } = this.#options;
    if (token !== undefined) {
      // An empty header is absent.
      if (headers.get("x-api-key")?.some((key) => key !== "")) throw tokenInvalid();
      return await tokens.admit(token);
    }
    const principal = await keys.authenticate(readKey(headers), () => exchange.address);
    if (principal === undefined) throw keyRefused();
    return principal;
  }

  /** Ends a stream once its key or its token has ended, until the watch is ended. */
  watchKey({ headers, token }: Shown, stream: AbortController): KeyWatch {
    const { keys, tokens } = this.#options;
    const over = new AbortController();
    const ended =
      token === undefined ? keys.untilEnded(readKey(headers), over.signal) : tokens.untilEnded(token, over.signal);
    const watched = ended.then(
      () => stream.abort(token === undefined ? keyRefused() : tokenExpired()),
      () => undefined,
    );
    return {
      end: async () => {
        over.abort(noLongerNeeded);
        await watched;
      },
    };
  }
}

function keyRefused(): RequestError {
  return new RequestError("INVALID_API_KEY", "The API key in the header x-api-key is not valid.");
}

function readKey(headers: RequestHeaders): string {
  const [key, ...others] = headers.get("x-api-key") ?? [];
  if (!key) {
    // Most APIs take their key there, and it is the first thing that somebody tries.
    const instead = headers.has("authorization") ? " The header authorization is not read." : "";
    throw new RequestError("MISSING_API_KEY", `Send an API key in the header x-api-key.${instead}`);
  }
  if (others.length > 0) {
    throw new RequestError("INVALID_API_KEY", "The header x-api-key is given more than once; send it once.");
  }
  return key;
}
