import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import type { Clock } from "../../domain/clock.ts";
import type { KeyName } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";

/** What a watch token allows: to read the events of one execution, as the key that asked for it may. */
export type WatchGrant = KeyName & { readonly executionId: string };

/** The bound of a token: three ids, a time and a MAC. A longer text is none. */
const form = /^wt1\.([0-9a-f]{24})\.([0-9a-f]{24})\.([0-9a-f]{24})\.([0-9a-z]{1,9})\.([A-Za-z0-9_-]{43})$/;

/**
 * Makes and reads tokens for callers that cannot send a header, as the `EventSource` of browsers. A token is kept nowhere:
 * it names what it allows, with a MAC (HMAC-SHA-256) under a key that is derived from an encryption key for this use alone
 * (HKDF, RFC 5869).
 */
export class WatchTokens {
  readonly #masterKeys: () => readonly Buffer[];
  readonly #clock: Pick<Clock, "now">;
  readonly #derived = new WeakMap<Buffer, Buffer>();

  /** @param masterKeys gives keys of 32 bytes; the first one signs, what the others have signed still counts */
  constructor(masterKeys: () => readonly Buffer[], clock: Pick<Clock, "now">) {
    this.#masterKeys = masterKeys;
    this.#clock = clock;
  }

  /** Refuses with ENCRYPTION_KEYS_MISSING. */
  make({ environmentId, executionId, keyId }: WatchGrant, expireTime: Date): string {
    const [masterKey] = this.#masterKeys();
    if (masterKey === undefined) throw keysMissing();
    const claims = ["wt1", environmentId, executionId, keyId, expireTime.getTime().toString(36)].join(".");
    return `${claims}.${this.#sign(claims, masterKey).toString("base64url")}`;
  }

  /** Refuses with INVALID_WATCH_TOKEN, and with TOKEN_EXPIRED one that was good. */
  read(token: string): WatchGrant & { readonly expireTime: Date } {
    const [, environmentId, executionId, keyId, time = "", mac = ""] = form.exec(token) ?? [];
    if (environmentId === undefined || executionId === undefined || keyId === undefined) throw tokenInvalid();
    const claims = token.slice(0, token.lastIndexOf("."));
    const given = Buffer.from(mac, "base64url");
    if (!this.#masterKeys().some((key) => timingSafeEqual(this.#sign(claims, key), given))) throw tokenInvalid();
    const expireTime = new Date(Number.parseInt(time, 36));
    if (expireTime.getTime() <= this.#clock.now()) throw tokenExpired();
    return { environmentId, executionId, keyId, expireTime };
  }

  #sign(claims: string, masterKey: Buffer): Buffer {
    const key =
      this.#derived.get(masterKey) ??
      Buffer.from(hkdfSync("sha256", masterKey, Buffer.alloc(0), "flowcall watch token", 32));
    this.#derived.set(masterKey, key);
    return createHmac("sha256", key).update(claims).digest();
  }
}

/** The token was good once: its time is over, or its key has ended. */
export function tokenExpired(): RequestError {
  return new RequestError(
    "TOKEN_EXPIRED",
    "The watch token has expired, or the API key that made it has ended. Ask CreateWatchToken for another one.",
  );
}

export function tokenInvalid(): RequestError {
  return new RequestError(
    "INVALID_WATCH_TOKEN",
    "The watch token is not valid for this stream. Send it once, as CreateWatchToken answered it, and no API key beside it.",
  );
}

function keysMissing(): RequestError {
  return new RequestError(
    "ENCRYPTION_KEYS_MISSING",
    "Watch tokens are signed with a key of the service, which has none. Set FLOWCALL_ENCRYPTION_KEYS.",
  );
}
