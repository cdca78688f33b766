import type { JsonValue } from "@bufbuild/protobuf";
import { numberProblem } from "../../domain/json-refusal.ts";
import type { HttpAnswer } from "../http/http-request.ts";

/** What templates read of an answer: `body`, `status` and `headers`. Checked as any output is, by whoever keeps it. */
export function outputOf(answer: HttpAnswer) {
  return { status: answer.status, headers: answer.headers, body: bodyOf(answer) };
}

/**
 * How long a server asks to be left alone, in milliseconds, at most an hour; 0 where it does not say
 * (RFC 9110, section 10.2.3: seconds, or a date).
 */
export function retryAfterMs({ headers }: HttpAnswer, now: number): number {
  const text = first(headers["retry-after"]).trim();
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : dateOf(text) - now;
  return ms > 0 ? Math.min(ms, retryAfterMsMax) : 0;
}

const retryAfterMsMax = 3_600_000;

/** Dates as HTTP writes them begin with the name of a day; Date would read much else. NaN for what is none. */
function dateOf(text: string): number {
  return /^[A-Z][a-z]{2,8},? .*\d$|GMT$/.test(text) ? Date.parse(text) : Number.NaN;
}

/** JSON where the server says so, or says nothing and it is; else text. */
function bodyOf({ headers, body }: HttpAnswer): JsonValue {
  const type = first(headers["content-type"]);
  if (type === "" || /^[^;]*[/+]json\s*(;|$)/i.test(type)) {
    const value = parseAnswer(utf8.decode(body));
    if (value !== undefined) {
      return value;
    }
  }
  return decoderFor(type).decode(body);
}

/** Reads JSON and keeps what a double would lose or overflow on: such a number becomes its spelling, as a string. */
function parseAnswer(text: string): JsonValue | undefined {
  try {
    const value: JsonValue = JSON.parse(text);
    // Only long or exponential numbers can be lost, and most answers have none.
    return /\d{16}|\d[eE]/.test(text) ? JSON.parse(text.replace(stringOrNumber, keepNumber)) : value;
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}

/** In a text that is JSON, the strings, which are left alone, and the numbers. */
const stringOrNumber = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

function keepNumber(token: string): string {
  if (token.startsWith('"')) {
    return token;
  }
  const value = Number(token);
  const isLost = /^-?\d+$/.test(token) && !Number.isSafeInteger(value);
  return isLost || numberProblem(value, token) !== undefined ? JSON.stringify(token) : token;
}

const utf8 = new TextDecoder();

function decoderFor(type: string): TextDecoder {
  const [, charset = "utf-8"] = /;\s*charset="?([^\s";]+)/i.exec(type) ?? [];
  try {
    return new TextDecoder(charset);
  } catch {
    // A charset that nobody knows: what is not UTF-8 then shows as replacement characters.
    return utf8;
  }
}

function first(value: string | readonly string[] | undefined): string {
  return [value ?? ""].flat()[0] ?? "";
}
