import type { JsonValue } from "@bufbuild/protobuf";
import { parse } from "content-type";
import { NodeFailure } from "../errors/node-failure.ts";
import { parseLossless } from "../values/lossless-json.ts";

/** What the author asks the body of an answer to be. */
export type AnswerKind = "AUTO" | "JSON" | "TEXT" | "BYTES";

/** An answer's body with what its head says of it. */
export type AnswerBytes = {
  readonly bytes: Uint8Array;
  /** Its Content-Type; empty where it has none. */
  readonly type: string;
  /** Whether the status says that there is no body, and there is none. */
  readonly isBodiless: boolean;
};

/**
 * What templates read of a body. AUTO gives JSON where the type says so, or where there is no type and it parses; else
 * text in the charset that it names, or in UTF-8; else, where it can be no text, its bytes in Base64. No character is ever
 * replaced: bytes that are not in the charset that they name fail the node for good with ANSWER_UNREADABLE.
 */
export function answerValue(answer: AnswerBytes, kind: AnswerKind): JsonValue {
  switch (kind) {
    case "BYTES":
      return bytesValue(answer);
    case "TEXT":
      return textOf(answer) ?? refuse("is no text in UTF-8, and names no charset");
    case "JSON":
      return answer.isBodiless ? "" : jsonOf(answer);
    case "AUTO":
      return autoValue(answer);
  }
}

function autoValue(answer: AnswerBytes): JsonValue {
  const isJson = isJsonType(answer.type);
  const text = textOf(answer);
  if (text === undefined) return isJson ? refuse("says that it is JSON, and is not in UTF-8") : bytesValue(answer);
  const value = isJson || answer.type === "" ? parseAnswer(text) : undefined;
  if (value !== undefined) return value;
  // No output can hold NUL.
  return text.includes("\u0000") ? bytesValue(answer) : text;
}

function jsonOf(answer: AnswerBytes): JsonValue {
  const text = textOf(answer);
  const value = text === undefined ? undefined : parseAnswer(text);
  return value === undefined ? refuse("is no JSON") : value;
}

function bytesValue({ bytes, type }: AnswerBytes): JsonValue {
  const { buffer, byteOffset, length } = bytes;
  return { base64: Buffer.from(buffer, byteOffset, length).toString("base64"), content_type: type };
}

function refuse(problem: string): never {
  const message = `The answer ${problem}. Set the node's answer to BYTES to take it as it is.`;
  throw new NodeFailure("ANSWER_UNREADABLE", message, { isFinal: true });
}

function isJsonType(type: string): boolean {
  return /[/+]json$/.test(parse(type, { parameters: false }).type);
}

/** The text; undefined where no charset is named and it is not UTF-8. */
function textOf({ bytes, type }: AnswerBytes): string | undefined {
  const charset = charsetOf(bytes, type);
  const decoder = charset === undefined ? utf8 : decoderFor(charset);
  try {
    if (decoder !== undefined || !escaping.test(charset ?? "")) return (decoder ?? utf8).decode(bytes);
  } catch {
    if (charset === undefined) return undefined;
  }
  return refuse(`names the charset ${JSON.stringify(charset)}, ${decoder ? "and is not in it" : "which is not known"}`);
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Charsets that write other letters with the bytes of ASCII, and that the Encoding Standard does not read. */
const escaping = /utf-?7|iso-?2022|hz-gb|imap|ebcdic|^(?:cp|ibm)-?0*(?:37|500|1047)$/i;

/** Labels that are not of the Encoding Standard are taken for UTF-8, which most of them mean: `utf8mb4`, `none`. */
function decoderFor(charset: string): TextDecoder | undefined {
  try {
    return new TextDecoder(charset, { fatal: true });
  } catch {
    return undefined;
  }
}

/** Longer than any label of a charset. */
const charsetMax = 64;

/** A byte order mark counts before the header, as browsers read both; XML may name its charset by itself (RFC 7303). */
function charsetOf(bytes: Uint8Array, type: string): string | undefined {
  const [first, second, third] = bytes;
  if (first === 0xef && second === 0xbb && third === 0xbf) return "utf-8";
  if (first === 0xff && second === 0xfe) return "utf-16le";
  if (first === 0xfe && second === 0xff) return "utf-16be";
  const { type: essence, parameters } = parse(type);
  const named = parameters["charset"] || undefined;
  if (named !== undefined || !/[/+]xml$/.test(essence)) return named?.slice(0, charsetMax);
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 256)).toString("latin1");
  const [, declared] = /^<\?xml\s[^>]*?\sencoding\s*=\s*["']([A-Za-z][\w.-]{0,63})["']/.exec(head) ?? [];
  // What was read byte by byte is in no charset of two.
  return declared === undefined || /^utf-?16/i.test(declared) ? undefined : declared;
}

function parseAnswer(text: string): JsonValue | undefined {
  try {
    return parseLossless(text);
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}
