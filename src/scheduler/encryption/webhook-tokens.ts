import { DerivedMac } from "./derived-mac.ts";

/** What the holder of a token may do: end the wait of the node at this path, once. */
export type WebhookGrant = { readonly environmentId: string; readonly executionId: string; readonly path: string };

const idBytes = 12;
/** 128 bits: nobody guesses one, and tries are limited besides. */
const macBytes = 16;

/** A longer path has no token. Groups are nested a few levels deep, so that none is. */
const pathBytesMax = 600;

/**
 * Makes and reads the tokens in the URLs of Wait for Webhook nodes. Nothing is stored before one is used: a token is the
 * ids of environment and execution, the node's path, and a MAC, in base64url.
 */
export class WebhookTokens {
  readonly #mac: DerivedMac;

  /** @param masterKeys as for `DerivedMac` */
  constructor(masterKeys: () => readonly Buffer[]) {
    this.#mac = new DerivedMac({ masterKeys, use: "flowcall webhook token", bytes: macBytes });
  }

  /** Undefined where the service has no key. The same grant gives the same token. */
  make({ environmentId, executionId, path }: WebhookGrant): string | undefined {
    const grant = Buffer.concat([
      Buffer.from(environmentId, "hex"),
      Buffer.from(executionId, "hex"),
      Buffer.from(path),
    ]);
    const mac = grant.length > 2 * idBytes + pathBytesMax ? undefined : this.#mac.sign(grant);
    return mac && Buffer.concat([grant, mac]).toString("base64url");
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
    if (!this.#mac.verifies(grant, bytes.subarray(-macBytes))) {
      return undefined;
    }
    return {
      environmentId: grant.toString("hex", 0, idBytes),
      executionId: grant.toString("hex", idBytes, 2 * idBytes),
      path: grant.toString("utf8", 2 * idBytes),
    };
  }
}
