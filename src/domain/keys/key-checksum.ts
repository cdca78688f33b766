import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { EnvironmentKind } from "../principal.ts";

/**
 * What the checksums of keys are made with: one for each database, shared by all processes on it. It opens nothing, since
 * a key works only where its hash is kept: it tells keys that were once made from keys that somebody made up.
 */
export type KeySecret = {
  /** Four characters of Base64url, which stand in each key that was made with it. */
  readonly id: string;
  readonly secret: Buffer;
};

/** What the text of a key says of where it comes from. */
export type KeyOrigin =
  /** It was made here, and works unless it has ended. */
  | "MADE"
  /** It says that it was made here, and was not. */
  | "FORGED"
  /** It was given by an operator, made before there were checksums, or made with a secret that is not known here. */
  | "UNSIGNED";

const prefixes: Readonly<Record<EnvironmentKind, string>> = { test: "tk", production: "pk" };

/** Bytes of each part, none of which needs padding in Base64. */
const randomLength = 18;
const idLength = 3;
const checksumLength = 9;

const form = /^(?<signed>(?:tk|pk)[\w-]{24}(?<id>[\w-]{4}))(?<checksum>[\w-]{12})$/;

/**
 * Makes keys, and tells without asking anybody which texts were not made here. A key is its prefix, 144 random bits, the
 * id of a secret, and an HMAC-SHA-256 of all that under the secret, cut to 72 bits: nobody who has not the secret makes
 * one that passes, however many they try.
 */
export class KeyChecksums {
  readonly #list: () => readonly KeySecret[];

  /** The secrets are asked for each time, newest first: they are known only once the database is reached. */
  constructor(list: () => readonly KeySecret[]) {
    this.#list = list;
  }

  /** A key that nobody can guess. */
  newKey(environment: EnvironmentKind): string {
    const [newest] = this.#list();
    if (newest === undefined) throw new Error("a key is to be made before the database's secrets for keys are known");
    const signed = `${prefixes[environment]}${randomBytes(randomLength).toString("base64url")}${newest.id}`;
    return `${signed}${checksumOf(signed, newest).toString("base64url")}`;
  }

  originOf(key: string): KeyOrigin {
    const { signed = "", id, checksum = "" } = form.exec(key)?.groups ?? {};
    const secret = this.#list().find((known) => known.id === id);
    if (secret === undefined) return "UNSIGNED";
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
