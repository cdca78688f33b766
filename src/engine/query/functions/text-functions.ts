import { createHash } from "node:crypto";
import type { JsonValue } from "@bufbuild/protobuf";
import { parseLossless } from "../../values/lossless-json.ts";
import { refuseReservedNames } from "../../values/reserved-names.ts";
import { QueryError } from "./query-error.ts";

/** Base64 of a text's UTF-8. JSONata's own cuts each character to one byte. */
export function encodeBase64(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (!text.isWellFormed()) throw new QueryError("$base64encode was given half of a surrogate pair.");
  return Buffer.from(text).toString("base64");
}

/** The text whose UTF-8 is in Base64, or in its form for URLs. */
export function decodeBase64(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  // Line ends are those of RFC 2045. Padding may be left out, but where it stands it fills a group of four.
  const digits = text.replaceAll(/[\r\n]/g, "");
  const isWhole = digits.endsWith("=") ? digits.length % 4 === 0 : digits.length % 4 !== 1;
  // What belongs to no Base64 would be left out without a word.
  if (!isWhole || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(digits)) throw new QueryError("$base64decode was given no Base64.");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(digits, "base64"));
  } catch {
    throw new QueryError("$base64decode was given bytes that are no text in UTF-8.");
  }
}

const algorithms: ReadonlySet<string> = new Set(["md5", "sha1", "sha256", "sha384", "sha512"]);
const encodings = ["hex", "base64", "base64url"] as const;

/** The digest of a text's UTF-8: SHA-256 in hexadecimal digits unless the query says otherwise. */
export function hash(text: string | undefined, algorithm: string | undefined, encoding: string | undefined) {
  if (text === undefined) return undefined;
  const name = (algorithm ?? "sha256").toLowerCase().replace("-", "");
  const form = encodings.find((known) => known === (encoding ?? "hex"));
  if (!text.isWellFormed()) throw new QueryError("$hash was given half of a surrogate pair.");
  if (!algorithms.has(name)) throw new QueryError(`$hash knows ${[...algorithms].join(", ")}.`);
  if (form === undefined) throw new QueryError(`$hash writes ${encodings.join(", ")}.`);
  return createHash(name).update(text).digest(form);
}

/** A UUID of version 5 (RFC 9562): made of the name, and so the same each time. */
export function uuidOf(name: string): string {
  const bytes = createHash("sha1").update(name).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The value of a JSON text. A number that a double would lose becomes its spelling, as in an HTTP node's answer. */
export function parseJsonText(text: string | undefined): JsonValue | undefined {
  if (text === undefined) return undefined;
  let value: JsonValue;
  try {
    value = parseLossless(text);
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/,? ?(?:"|\.\.\.).*$/s, "") : "";
    throw new QueryError(`$parseJson was given a text that is no JSON: ${why || "it ends too early"}`);
  }
  refuseReservedNames(value);
  return value;
}
