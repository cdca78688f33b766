import type { JsonValue } from "@bufbuild/protobuf";
import { parse } from "content-type";
import { NodeFailure } from "../errors/node-failure.ts";
import { parseLossless } from "../values/lossless-json.ts";

/** The form in which the author wants the body of an answer. */
export type AnswerKind = "AUTO" | "JSON" | "TEXT" | "BYTES";

/** The body of an answer, with the parts of its head that describe it. */
export type AnswerBytes = {
  readonly bytes: Uint8Array;
  /** The Content-Type. Empty if there is none. */
  readonly type: string;
  /** Whether the status allows no body, and there is none. */
  readonly isBodiless: boolean;
};

/**
 * Decodes a body. AUTO gives JSON where the type says so, or where there is no type and the body parses as JSON; else text in
 * the charset that the answer names, or in UTF-8; else, where it cannot be text, its bytes in Base64. No character is ever
 * replaced by U+FFFD: bytes that are not in their charset fail the node with ANSWER_UNREADABLE.
 */
export function answerValue(answer: AnswerBytes, kind: AnswerKind): JsonValue {
  switch (kind) {
    case "BYTES":
      return bytesValue(answer);
    case "TEXT":
      return textOf(answer) ?? refuse("is not text in UTF-8, and it names no charset");
    case "JSON":
      return answer.isBodiless ? "" : jsonOf(answer);
    case "AUTO":
      return autoValue(answer);
  }
}

function autoValue(answer: AnswerBytes): JsonValue {
  const isJson = isJsonType(answer.type);
  const text = textOf(answer);
  if (text === undefined) {
    return isJson ? refuse("says that it is JSON, but it is not in UTF-8") : bytesValue(answer);
  }
  const value = isJson || answer.type === "" ? parseAnswer(text) : undefined;
  if (value !== undefined) {
    return value;
  }
  // Outputs must not contain NUL.
  return text.includes("\u0000") ? bytesValue(answer) : text;
}

function jsonOf(answer: AnswerBytes): JsonValue {
  const text = textOf(answer);
  const value = text === undefined ? undefined : parseAnswer(text);
  return value === undefined ? refuse("is not JSON") : value;
}

function bytesValue({ bytes, type }: AnswerBytes): JsonValue {
  const { buffer, byteOffset, length } = bytes;
  return { base64: Buffer.from(buffer, byteOffset, length).toString("base64"), content_type: type };
}

function refuse(problem: string): never {
  const message = `The answer ${problem}. Set the node's answer to BYTES to get the body as it is.`;
  throw new NodeFailure("ANSWER_UNREADABLE", message, { isFinal: true });
}

function isJsonType(type: string): boolean {
  return type === plainJson || /[/+]json$/.test(parse(type, { parameters: false }).type);
}

/** The content type of most answers. */
const plainJson = "application/json";

/** Decodes text. Gives undefined where no charset is named and the bytes are not UTF-8. */
function textOf({ bytes, type }: AnswerBytes): string | undefined {
  const charset = charsetOf(bytes, type);
  const decoder = charset === undefined ? utf8 : decoderFor(charset);
  try {
    if (decoder !== undefined || !escaping.test(charset ?? "")) {
      return (decoder ?? utf8).decode(bytes);
    }
  } catch {
    if (charset === undefined) {
      return undefined;
    }
  }
  return refuse(`names the charset ${JSON.stringify(charset)}, ${decoder ? "and is not in it" : "which is not known"}`);
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Charsets that the Encoding Standard does not have and in which bytes of ASCII may mean other letters. */
const escaping = /utf-?7|iso-?2022|hz-gb|imap|ebcdic|^(?:cp|ibm)-?0*(?:37|500|1047)$/i;

/** Gives undefined for labels that the Encoding Standard does not have. Most of them mean UTF-8: `utf8mb4`, `none`. */
function decoderFor(charset: string): TextDecoder | undefined {
  try {
    return new TextDecoder(charset, { fatal: true });
  } catch {
    return undefined;
  }
}

/** No label of a charset is longer. */
const charsetMax = 64;

/** A byte order mark takes precedence over the header, as in browsers. XML may declare its charset itself (RFC 7303). */
function charsetOf(bytes: Uint8Array, type: string): string | undefined {
  const [first, second, third] = bytes;
  if (first === 0xef && second === 0xbb && third === 0xbf) {
    return "utf-8";
  }
  if (first === 0xff && second === 0xfe) {
    return "utf-16le";
  }
  if (first === 0xfe && second === 0xff) {
    return "utf-16be";
  }
  if (type === plainJson) {
    return undefined;
  }
  const { type: essence, parameters } = parse(type);
  const named = parameters["charset"] || undefined;
  if (named !== undefined || !/[/+]xml$/.test(essence)) {
    return named?.slice(0, charsetMax);
  }
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 256)).toString("latin1");
  const [, declared] = /^<\?xml\s[^>]*?\sencoding\s*=\s*["']([A-Za-z][\w.-]{0,63})["']/.exec(head) ?? [];
  // The declaration was read byte by byte, so the charset cannot be UTF-16.
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
