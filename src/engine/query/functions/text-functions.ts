import { createHash } from "node:crypto";
import type { JsonValue } from "@bufbuild/protobuf";
import { parseLossless } from "../../values/lossless-json.ts";
import { refuseReservedNames } from "../../values/reserved-names.ts";
import { QueryError } from "./query-error.ts";

/** Encodes the UTF-8 of a text in Base64. JSONata's own function truncates each character to one byte. */
export function encodeBase64(text: string | undefined): string | undefined {
  if (text === undefined) {
    return undefined;
  }
  if (!text.isWellFormed()) {
    throw new QueryError("$base64encode was given half of a surrogate pair.");
  }
  return Buffer.from(text).toString("base64");
}

/** Decodes Base64, or its URL-safe form, into a text of UTF-8. */
export function decodeBase64(text: string | undefined): string | undefined {
  if (text === undefined) {
    return undefined;
  }
  // RFC 2045 allows line ends. Padding is optional, but where it is present it must complete a group of four.
  const digits = text.replaceAll(/[\r\n]/g, "");
  const isWhole = digits.endsWith("=") ? digits.length % 4 === 0 : digits.length % 4 !== 1;
  // Buffer would ignore other characters silently.
  if (!isWhole || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(digits)) {
    throw new QueryError("$base64decode was given a text that is not Base64.");
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(digits, "base64"));
  } catch {
    throw new QueryError("$base64decode was given bytes that are not UTF-8.");
  }
}

const algorithms: ReadonlySet<string> = new Set(["md5", "sha1", "sha256", "sha384", "sha512"]);
const encodings = ["hex", "base64", "base64url"] as const;

/** Hashes the UTF-8 of a text: by default SHA-256, in hexadecimal digits. */
export function hash(text: string | undefined, algorithm: string | undefined, encoding: string | undefined) {
  if (text === undefined) {
    return undefined;
  }
  const name = (algorithm ?? "sha256").toLowerCase().replace("-", "");
  const form = encodings.find((known) => known === (encoding ?? "hex"));
  if (!text.isWellFormed()) {
    throw new QueryError("$hash was given half of a surrogate pair.");
  }
  if (!algorithms.has(name)) {
    throw new QueryError(`$hash has the algorithms ${[...algorithms].join(", ")}. Use one of them.`);
  }
  if (form === undefined) {
    throw new QueryError(`$hash has the encodings ${encodings.join(", ")}. Use one of them.`);
  }
  return createHash(name).update(text).digest(form);
}

/** A UUID in the form of version 5 (RFC 9562): a hash of the name, so that a replay gives the same one. */
export function uuidOf(name: string): string {
  const bytes = createHash("sha1").update(name).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Parses JSON. A number that a double cannot hold becomes a text of its digits, as in the answer of an HTTP node. */
export function parseJsonText(text: string | undefined): JsonValue | undefined {
  if (text === undefined) {
    return undefined;
  }
  let value: JsonValue;
  try {
    value = parseLossless(text);
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/,? ?(?:"|\.\.\.).*$/s, "") : "";
    throw new QueryError(`$parseJson was given a text that is not JSON: ${why || "it ends too early"}`);
  }
  refuseReservedNames(value);
  return value;
}
