import type { RequestHeaders } from "../../domain/http/call.ts";
import type { HttpExchange, Route } from "../../domain/http/protocol-handler.ts";
import { scopeWord } from "../../domain/keys/api-key.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import type { Principal } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import { tokenExpired, tokenInvalid } from "../../scheduler/encryption/watch-tokens.ts";

export type KeyAuthenticator = {
  /** Returns the principal of a key that came from an address; undefined if the key is unknown or malformed. */
  authenticate(key: string, address: () => string): Promise<Principal | undefined>;
  /** Settles when a valid key is no longer valid; rejects when the signal aborts. */
  untilEnded(key: string, signal: AbortSignal): Promise<void>;
};

export type TokenAuthenticator = {
  /** Returns the principal of a watch token. Throws RequestError if the token is not valid. */
  authenticate(token: string): Promise<Principal>;
  /** Settles when a valid token is no longer valid; rejects when the signal aborts. */
  untilEnded(token: string, signal: AbortSignal): Promise<void>;
};

/** The credentials of a request: an API key in its headers, or a watch token in its query. */
export type Credentials = { readonly headers: RequestHeaders; readonly token: string | undefined };

/** Ends a stream when its key or token ends. */
export type CredentialWatch = { stop(): Promise<void> };

export type AccessControlOptions = {
  readonly keys: KeyAuthenticator;
  readonly tokens: TokenAuthenticator;
  /** Whether calls are accepted: the service has started and the database answers. */
  readonly isReady: () => boolean;
};

/** Authenticates and authorises requests by their headers, before the body is read. */
export class AccessControl {
  readonly #options: AccessControlOptions;

  constructor(options: AccessControlOptions) {
    this.#options = options;
  }

  /**
   * Returns the principal who calls a route that needs a key. Throws RequestError if the call is not allowed. The order of
   * the checks is part of the API: it decides which fault is reported.
   */
  async authorize(
    access: Exclude<Route["access"], "public">,
    credentials: Credentials,
    exchange: HttpExchange,
  ): Promise<Principal> {
    if (!this.#options.isReady()) {
      throw RequestError.of("DATABASE_UNAVAILABLE", { retryAfterSeconds: 1 });
    }
    const principal = await this.#authenticate(credentials, exchange);
    if (!principal.scopes.includes(access)) {
      const scope = scopeWord(access);
      throw new RequestError("SCOPE_MISSING", `The API key lacks the scope ${scope}.`, { metadata: { scope } });
    }
    return principal;
  }

  async #authenticate({ headers, token }: Credentials, exchange: HttpExchange): Promise<Principal> {
    const { keys, tokens } = this.#options;
    if (token !== undefined) {
      // An empty header counts as absent.
      if (headers.get("x-api-key")?.some((key) => key !== "")) {
        throw tokenInvalid();
      }
      return await tokens.authenticate(token);
    }
    const principal = await keys.authenticate(readKey(headers), () => exchange.address);
    if (principal === undefined) {
      throw invalidKey();
    }
    return principal;
  }

  /** Aborts a stream when its key or token ends. */
  watch({ headers, token }: Credentials, stream: AbortController): CredentialWatch {
    const { keys, tokens } = this.#options;
    const stopped = new AbortController();
    const ended =
      token === undefined
        ? keys.untilEnded(readKey(headers), stopped.signal)
        : tokens.untilEnded(token, stopped.signal);
    const watched = ended.then(
      () => stream.abort(token === undefined ? invalidKey() : tokenExpired()),
      () => undefined,
    );
    return {
      stop: async () => {
        stopped.abort(noLongerNeeded);
        await watched;
      },
    };
  }
}

function invalidKey(): RequestError {
  return RequestError.of("INVALID_API_KEY");
}

function readKey(headers: RequestHeaders): string {
  const [key, ...others] = headers.get("x-api-key") ?? [];
  if (!key) {
    // Most APIs take their key in this header, so that many callers try it first.
    const hint = headers.has("authorization") ? " The header authorization is not read." : "";
    throw new RequestError("MISSING_API_KEY", `Send an API key in the header x-api-key.${hint}`);
  }
  if (others.length > 0) {
    throw new RequestError("INVALID_API_KEY", "The header x-api-key is given more than once; send it once.");
  }
  return key;
}
