import type { HttpAnswer } from "../http/http-request.ts";
import { type AnswerKind, answerValue } from "./answer-value.ts";
import { nodeFailureOf } from "./http-node-failure.ts";

/**
 * What templates read of an answer: `body`, `status` and `headers`. A header is a text, whatever the number of its lines
 * (RFC 9110, section 5.2), but `set-cookie`, whose lines cannot be joined: it is always a list. Throws NodeFailure. Checked
 * as any output is, by whoever keeps it.
 */
export function outputOf(answer: HttpAnswer, kind: AnswerKind) {
  const { status } = answer;
  const bytes = bytesOf(answer);
  const isBodiless = bytes.length === 0 && bodiless.has(status);
  const body = answerValue({ bytes, type: headerOf(answer, "content-type"), isBodiless }, kind);
  return { status, headers: joined(answer.headers), body };
}

/** The body's bytes. Throws the failure by which they could not be read. */
export function bytesOf({ body, unread }: HttpAnswer): Uint8Array {
  if (unread !== undefined) throw nodeFailureOf(unread);
  return body;
}

/** The first line of a header; empty where there is none. */
export function headerOf({ headers }: HttpAnswer, name: string): string {
  return [headers[name] ?? ""].flat()[0] ?? "";
}

const bodiless: ReadonlySet<number> = new Set([204, 205, 304]);

function joined(headers: HttpAnswer["headers"]): HttpAnswer["headers"] {
  const pairs = Object.entries(headers).map(([name, value]) => [
    name,
    name === "set-cookie" ? [value].flat() : [value].flat().join(", "),
  ]);
  // Names such as `__proto__` are names like others.
  return Object.fromEntries(pairs);
}
