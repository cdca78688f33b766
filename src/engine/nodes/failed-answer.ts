import type { JsonValue } from "@bufbuild/protobuf";
import { type FailedAnswer, NodeFailure } from "../errors/node-failure.ts";
import type { HttpAnswer } from "../http/http-request.ts";
import { checkOutput } from "../values/check-output.ts";
import { answerValue } from "./answer-value.ts";
import { headerOf } from "./http-answer.ts";
import type { Attempt } from "./leaf.ts";

/** More of the text of a failed answer is not kept. */
export const failedBytesMax = 16 * 1024;

/** What is kept of an answer that fails its node: the status, and what the server says of it. */
export function failedAnswer(answer: HttpAnswer, attempt: Pick<Attempt, "limits" | "note" | "redact">): FailedAnswer {
  const { status, body, unread } = answer;
  if (unread !== undefined) {
    attempt.note(`The body of the answer could not be read. ${unread.message}`);
  }
  if (body.length === 0) {
    return { status };
  }
  const value = body.length > failedBytesMax ? undefined : jsonOf(answer, attempt);
  return value === undefined ? { status, ...cutText(body, attempt) } : { status, body: value };
}

/** The body as an output would have it. Undefined where it is none, or is longer than its bytes: in Base64, for one. */
function jsonOf(answer: HttpAnswer, { limits }: Pick<Attempt, "limits">): JsonValue | undefined {
  const { body: bytes } = answer;
  try {
    const value = answerValue({ bytes, type: headerOf(answer, "content-type"), isBodiless: false }, "AUTO");
    const text = checkOutput(value, limits.output);
    // The text was made from a JSON value.
    return text.length > failedBytesMax + 2 ? undefined : (JSON.parse(text) as JsonValue);
  } catch (error) {
    if (error instanceof NodeFailure) {
      return undefined;
    }
    throw error;
  }
}

/** Secrets are redacted before the cut, which could go through one. */
function cutText(body: Uint8Array, attempt: Pick<Attempt, "redact">): Pick<FailedAnswer, "body" | "isCut"> {
  const whole = Buffer.from(body).toString("utf8");
  const shown = attempt.redact(whole);
  const bytes = shown === whole ? body : Buffer.from(shown);
  const text = Buffer.from(bytes.subarray(0, failedBytesMax)).toString("utf8").replaceAll("\u0000", "\ufffd");
  // A character that the cut went through is left out.
  return bytes.length > failedBytesMax ? { body: text.replace(/\ufffd+$/, ""), isCut: true } : { body: text };
}
