import type { JsonValue } from "@bufbuild/protobuf";
import type { NodeRun } from "../../gen/flowcall/v1/execution_pb.ts";
import { printable } from "../output/output.ts";
import { durationText, timeText } from "./execution-text.ts";

/** Longer texts are cut; `-o json` prints them whole. */
const lettersMax = 1_000;

/**
 * What was asked and answered where a node failed: its request, each attempt, the answer, and what its templates gave.
 *
 * @param json the JSON of the node run
 */
export function failureLines({ request, attemptList, error }: NodeRun, json: JsonValue): readonly string[] {
  const lines: string[] = [];
  if (request !== undefined) {
    lines.push(`request   ${request.method} ${request.url}`);
    lines.push(...request.headers.map(({ key, value }) => `          ${key}: ${value}`));
    if (request.body !== undefined) {
      lines.push(`          ${shortened(request.body)}${request.isCut === true ? " (cut)" : ""}`);
    }
  }
  for (const { number, startTime, endTime, delayMs, reason, status } of attemptList) {
    const delay = delayMs === undefined ? "" : ` after a delay of ${delayMs} ms`;
    const end = reason === undefined ? "succeeded" : status === undefined ? reason : `${reason} ${status}`;
    lines.push(`attempt ${number} ${timeText(startTime)}  ${durationText(startTime, endTime)}  ${end}${delay}`);
  }
  if (error?.status !== undefined) {
    const { body } = Object(Object(json).error);
    const text = body === undefined ? "" : ` ${typeof body === "string" ? body : JSON.stringify(body)}`;
    lines.push(`answer    ${error.status}${shortened(text)}${error.isCut === true ? " (cut)" : ""}`);
  }
  const { input } = Object(json);
  if (error !== undefined && input !== undefined) {
    lines.push(`inputs    ${shortened(JSON.stringify(input))}`);
  }
  return lines.map((line) => printable(line));
}

function shortened(text: string): string {
  return text.length <= lettersMax ? text : `${text.slice(0, lettersMax)}… (${text.length} characters)`;
}
