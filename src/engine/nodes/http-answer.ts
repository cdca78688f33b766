import type { HttpAnswer } from "../http/http-request.ts";
import { type AnswerKind, answerValue } from "./answer-value.ts";
import { nodeFailureOf } from "./http-node-failure.ts";

/**
 * The output of an HTTP node: `body`, `status` and `headers`. The lines of a header are joined into one text (RFC 9110, section
 * 5.2), except for `set-cookie`, whose lines cannot be joined: it is always a list. Throws NodeFailure. The caller checks the
 * output as any other.
 */
export function outputOf(answer: HttpAnswer, kind: AnswerKind) {
  const { status } = answer;
  const bytes = bytesOf(answer);
  const isBodiless = bytes.length === 0 && bodiless.has(status);
  const body = answerValue({ bytes, type: headerOf(answer, "content-type"), isBodiless }, kind);
  return { status, headers: joined(answer.headers), body };
}

/** The bytes of the body. Throws the failure for which they could not be read. */
export function bytesOf({ body, unread }: HttpAnswer): Uint8Array {
  if (unread !== undefined) {
    throw nodeFailureOf(unread);
  }
  return body;
}

/** The first line of a header. Empty if there is none. */
export function headerOf({ headers }: HttpAnswer, name: string): string {
  const value = headers[name] ?? "";
  return typeof value === "string" ? value : (value[0] ?? "");
}

const bodiless: ReadonlySet<number> = new Set([204, 205, 304]);

function joined(headers: HttpAnswer["headers"]): HttpAnswer["headers"] {
  if (Object.values(headers).every((value) => typeof value === "string") && headers["set-cookie"] === undefined) {
    return headers;
  }
  const pairs = Object.entries(headers).map(([name, value]) => [
    name,
    name === "set-cookie" ? [value].flat() : [value].flat().join(", "),
  ]);
  // fromEntries makes own members of all names, `__proto__` included.
  return Object.fromEntries(pairs);
}
