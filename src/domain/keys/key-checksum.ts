import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { EnvironmentKind } from "../principal.ts";

/**
 * The secret of the checksums in keys: one for each database, shared by all its processes. It gives no access, since a key
 * works only if its hash is stored. It only tells issued keys from invented ones.
 */
export type KeySecret = {
  /** Four characters of Base64url, which are part of each key that is made with the secret. */
  readonly id: string;
  readonly secret: Buffer;
};

/** The origin that the text of a key proves. */
export type KeyOrigin =
  /** It was issued here, and works unless it has ended. */
  | "MADE"
  /** It has a checksum that is wrong: somebody invented it. */
  | "FORGED"
  /** It has no checksum, or one by a secret that is not known here. It must be looked up. */
  | "UNSIGNED";

const prefixes: Readonly<Record<EnvironmentKind, string>> = { test: "tk", production: "pk" };

/** The bytes of each part; each is a multiple of three, so that Base64 needs no padding. */
const randomLength = 18;
const idLength = 3;
const checksumLength = 9;

const form = /^(?<signed>(?:tk|pk)[\w-]{24}(?<id>[\w-]{4}))(?<checksum>[\w-]{12})$/;

/**
 * Makes keys, and detects invented ones without a database look-up, so that guessing keys costs the database nothing. A key
 * is its prefix, 144 random bits, the id of a secret, and an HMAC-SHA-256 of all these under the secret, cut to 72 bits.
 */
export class KeyChecksums {
  readonly #list: () => readonly KeySecret[];

  /** `list` answers the secrets, newest first. It is called each time, since they are loaded from the database later. */
  constructor(list: () => readonly KeySecret[]) {
    this.#list = list;
  }

  /** Makes a new random key. */
  newKey(environment: EnvironmentKind): string {
    const [newest] = this.#list();
    if (newest === undefined) {
      throw new Error("A key was requested before the key secrets were loaded from the database.");
    }
    const signed = `${prefixes[environment]}${randomBytes(randomLength).toString("base64url")}${newest.id}`;
    return `${signed}${checksumOf(signed, newest).toString("base64url")}`;
  }

  originOf(key: string): KeyOrigin {
    const { signed = "", id, checksum = "" } = form.exec(key)?.groups ?? {};
    const secret = this.#list().find((known) => known.id === id);
    if (secret === undefined) {
      return "UNSIGNED";
    }
    const isRight = timingSafeEqual(checksumOf(signed, secret), Buffer.from(checksum, "base64url"));
    return isRight ? "MADE" : "FORGED";
  }
}

export function newKeySecret(): KeySecret {
  return { id: randomBytes(idLength).toString("base64url"), secret: randomBytes(32) };
}

function checksumOf(signed: string, { secret }: KeySecret): Buffer {
  return createHmac("sha256", secret).update(signed).digest().subarray(0, checksumLength);
}
