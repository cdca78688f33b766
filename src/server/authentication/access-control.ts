import type { RequestHeaders } from "../../domain/http/call.ts";
import type { RequestHead, Route } from "../../domain/http/protocol-handler.ts";
import { scopeWord } from "../../domain/keys/api-key.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import type { Principal } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import { Scope } from "../../gen/flowcall/v1/options_pb.ts";
import { tokenExpired, tokenInvalid } from "../../scheduler/encryption/watch-tokens.ts";
import { apiKeyOf, hasApiKey, keyRefusal } from "./api-key-header.ts";

export type KeyAuthenticator = {
  /**
   * Returns the principal of a key that came from an address, at once where it is known; undefined if the key is unknown or
   * malformed.
   */
  authenticate(key: string, address: string): Principal | undefined | Promise<Principal | undefined>;
  /** Settles when a valid key is no longer valid; rejects when the signal aborts. */
  untilEnded(key: string, signal: AbortSignal): Promise<void>;
};

export type TokenAuthenticator = {
  /** Returns the principal of a watch token. Throws RequestError if the token is not valid. */
  authenticate(token: string): Promise<Principal>;
  /** Settles when a valid token is no longer valid; rejects when the signal aborts. */
  untilEnded(token: string, signal: AbortSignal): Promise<void>;
};

/** A request with an API key in its headers, or with a watch token in its query. */
export type AuthenticatedRequest = {
  readonly head: Pick<RequestHead, "headers">;
  readonly address: string;
  /** Aborts its stream. */
  readonly abort: AbortController;
};

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
  authorize(
    access: Exclude<Route["access"], "public">,
    { head, address }: AuthenticatedRequest,
    token: string | undefined,
  ): Principal | Promise<Principal> {
    const { isReady, keys } = this.#options;
    if (!isReady()) {
      throw RequestError.of("DATABASE_UNAVAILABLE", { retryAfterSeconds: 1 });
    }
    if (token !== undefined) {
      return this.#authenticateToken(token, head.headers).then((principal) => requireAccess(principal, access));
    }
    const principal = keys.authenticate(apiKeyOf(head.headers), address);
    if (principal instanceof Promise) {
      return principal.then((found) => requireAccess(found, access));
    }
    return requireAccess(principal, access);
  }

  async #authenticateToken(token: string, headers: RequestHeaders): Promise<Principal> {
    if (hasApiKey(headers)) {
      throw tokenInvalid();
    }
    return await this.#options.tokens.authenticate(token);
  }

  /** Aborts a stream when its key or token ends. */
  watch({ head, abort }: AuthenticatedRequest, token: string | undefined): CredentialWatch {
    const { keys, tokens } = this.#options;
    const stopped = new AbortController();
    const ended =
      token === undefined
        ? keys.untilEnded(apiKeyOf(head.headers), stopped.signal)
        : tokens.untilEnded(token, stopped.signal);
    const watched = ended.then(
      () => abort.abort(token === undefined ? RequestError.of("INVALID_API_KEY") : tokenExpired()),
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

function requireAccess(principal: Principal | undefined, access: Exclude<Route["access"], "public">): Principal {
  if (principal === undefined) {
    throw keyRefusal("INVALID_API_KEY");
  }
  if (!principal.scopes.includes(access) && !(access === Scope.ANY && principal.executionId === undefined)) {
    const scope = scopeWord(access);
    throw new RequestError("SCOPE_MISSING", `The API key lacks the scope ${scope}.`, { metadata: { scope } });
  }
  return principal;
}
