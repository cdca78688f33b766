import type { Clock } from "../../domain/clock.ts";
import type { KeyName } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import { DerivedMac } from "./derived-mac.ts";

/** A watch token grants one thing: to read the events of one execution, with the rights of the API key that made it. */
export type WatchGrant = KeyName & { readonly executionId: string };

/** Three ids, an expiry time and a MAC. */
const tokenPattern = /^wt1\.([0-9a-f]{24})\.([0-9a-f]{24})\.([0-9a-f]{24})\.([0-9a-z]{1,9})\.([A-Za-z0-9_-]{43})$/;

/**
 * Makes and reads bearer tokens for callers that cannot send a header, such as `EventSource` in browsers. A token is not
 * stored: it carries its grant and a MAC.
 */
export class WatchTokens {
  readonly #mac: DerivedMac;
  readonly #clock: Pick<Clock, "now">;

  /** @param masterKeys as for `DerivedMac` */
  constructor(masterKeys: () => readonly Buffer[], clock: Pick<Clock, "now">) {
    this.#mac = new DerivedMac({ masterKeys, use: "flowcall watch token" });
    this.#clock = clock;
  }

  /** Throws RequestError with ENCRYPTION_KEYS_MISSING. */
  make({ environmentId, executionId, keyId }: WatchGrant, expireTime: Date): string {
    const claims = ["wt1", environmentId, executionId, keyId, expireTime.getTime().toString(36)].join(".");
    const mac = this.#mac.sign(claims);
    if (mac === undefined) {
      throw keysMissing();
    }
    return `${claims}.${mac.toString("base64url")}`;
  }

  /** Throws RequestError with INVALID_WATCH_TOKEN, or with TOKEN_EXPIRED for one that was valid. */
  read(token: string): WatchGrant & { readonly expireTime: Date } {
    const [, environmentId, executionId, keyId, time = "", mac = ""] = tokenPattern.exec(token) ?? [];
    if (environmentId === undefined || executionId === undefined || keyId === undefined) {
      throw tokenInvalid();
    }
    const claims = token.slice(0, token.lastIndexOf("."));
    if (!this.#mac.verifies(claims, Buffer.from(mac, "base64url"))) {
      throw tokenInvalid();
    }
    const expireTime = new Date(Number.parseInt(time, 36));
    if (expireTime.getTime() <= this.#clock.now()) {
      throw tokenExpired();
    }
    return { environmentId, executionId, keyId, expireTime };
  }
}

export function tokenExpired(): RequestError {
  return RequestError.of("TOKEN_EXPIRED");
}

export function tokenInvalid(): RequestError {
  return RequestError.of("INVALID_WATCH_TOKEN");
}

function keysMissing(): RequestError {
  return new RequestError(
    "ENCRYPTION_KEYS_MISSING",
    "Watch tokens have to be signed, and the service has no encryption key. Set FLOWCALL_ENCRYPTION_KEYS.",
  );
}
