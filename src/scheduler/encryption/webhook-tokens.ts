import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";

/** What the holder of a token may do: end the wait of the node at this path, once. */
export type WebhookGrant = { readonly environmentId: string; readonly executionId: string; readonly path: string };

const idBytes = 12;
/** 128 bits: nobody guesses one, and tries are limited besides. */
const macBytes = 16;

/** A longer path has no token. Groups are nested a few levels deep, so that none is. */
const pathBytesMax = 600;

/**
 * Makes and reads the tokens in the URLs of Wait for Webhook nodes. Nothing is stored before one is used: a token is the
 * ids of environment and execution, the node's path, and a MAC (HMAC-SHA-256, cut to 16 bytes), in base64url. The MAC's
 * key is derived from a master key for this use alone (HKDF, RFC 5869).
 */
export class WebhookTokens {
  readonly #masterKeys: () => readonly Buffer[];
  readonly #derived = new WeakMap<Buffer, Buffer>();

  /** @param masterKeys gives keys of 32 bytes; the first one signs, the others only verify (key rotation) */
  constructor(masterKeys: () => readonly Buffer[]) {
    this.#masterKeys = masterKeys;
  }

  /** Undefined where the service has no key. The same grant gives the same token. */
  make({ environmentId, executionId, path }: WebhookGrant): string | undefined {
    const [masterKey] = this.#masterKeys();
    const grant = Buffer.concat([
      Buffer.from(environmentId, "hex"),
      Buffer.from(executionId, "hex"),
      Buffer.from(path),
    ]);
    return masterKey === undefined || grant.length > 2 * idBytes + pathBytesMax
      ? undefined
      : Buffer.concat([grant, this.#sign(grant, masterKey)]).toString("base64url");
  }

  /** Undefined for a token that no key of this service signed, whatever it looks like. */
  read(token: string): WebhookGrant | undefined {
    const bytes = Buffer.from(token, "base64url");
    const pathBytes = bytes.length - 2 * idBytes - macBytes;
    // One grant has one spelling: base64url as Node reads it has many.
    if (pathBytes < 1 || pathBytes > pathBytesMax || bytes.toString("base64url") !== token) {
      return undefined;
    }
    const grant = bytes.subarray(0, -macBytes);
    const given = bytes.subarray(-macBytes);
    if (!this.#masterKeys().some((key) => timingSafeEqual(this.#sign(grant, key), given))) {
      return undefined;
    }
    return {
      environmentId: grant.toString("hex", 0, idBytes),
      executionId: grant.toString("hex", idBytes, 2 * idBytes),
      path: grant.toString("utf8", 2 * idBytes),
    };
  }

  #sign(grant: Buffer, masterKey: Buffer): Buffer {
    const key =
      this.#derived.get(masterKey) ??
      Buffer.from(hkdfSync("sha256", masterKey, Buffer.alloc(0), "flowcall webhook token", 32));
    this.#derived.set(masterKey, key);
    return createHmac("sha256", key).update(grant).digest().subarray(0, macBytes);
  }
}
