import type { JsonValue } from "@bufbuild/protobuf";
import type { DelayNode } from "../../gen/flowcall/v1/definition_pb.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { Waited } from "../journal/journal.ts";
import { compileValue } from "../templates/text-template.ts";
import { parseDecimal } from "../values/decimal.ts";
import { parseInstant } from "../values/instant.ts";
import type { Leaf, LeafTools } from "./leaf.ts";

/** Waits for a time or until an instant. A synchronous execution checks the value and does not wait. */
export function compileDelay({ wait }: DelayNode, { field, limits }: LeafTools): Leaf {
  if (wait.case === undefined) {
    field.error("DELAY_INVALID", "The Delay does not say how long. Set seconds or until.");
    return { run: () => null };
  }
  const member = field.member(wait.case);
  const value = compileValue(wait.value, member);
  const delayMs = wait.case === "seconds" ? secondsDelay : untilDelay;
  if (value.references.length === 0) {
    // Whether an instant is in the past depends on the time of the run, so it is compared with itself here.
    const constant = value.render({ read: () => undefined });
    const instant = wait.case === "until" ? millisOf(constant) : undefined;
    const problem = problemOf(() => delayMs(constant, instant ?? 0, limits.delayMs));
    if (problem !== undefined) {
      member.error("DELAY_INVALID", problem);
    }
  }
  return {
    run: async (attempt) => {
      const ms = delayMs(value.render(attempt.scope), attempt.startTime, attempt.limits.delayMs);
      if (attempt.type === "SYNC") {
        return "Waited for 0 seconds since sync execution is true.";
      }
      return `Waited for ${reportedSeconds(await attempt.wait(ms))} seconds.`;
    },
    output: { type: "string" },
  };
}

/** A wait that took this much longer is reported with its true length: no process was there to resume the execution. */
const lateMs = 5_000;

function reportedSeconds({ ms, tookMs }: Waited): number {
  return tookMs - ms < lateMs ? ms / 1000 : Math.round(tookMs / 1000);
}

type DelayOf = (value: JsonValue, now: number, maxMs: number) => number;

const secondsDelay: DelayOf = (value, _now, maxMs) => {
  const seconds = typeof value === "string" && parseDecimal(value.trim()) ? Number(value) : value;
  if (typeof seconds !== "number" || seconds < 0) {
    throw new NodeFailure("DELAY_INVALID", `A Delay's seconds must be a number from 0, not ${shown(value)}.`);
  }
  return checkMax(Math.round(seconds * 1000), maxMs);
};

/** An instant in the past means no wait. */
const untilDelay: DelayOf = (value, now, maxMs) => {
  const instant = millisOf(value);
  if (instant === undefined) {
    throw new NodeFailure(
      "DELAY_INVALID",
      `A Delay's until must be a time as 2026-01-31T09:00:00Z (RFC 3339), not ${shown(value)}.`,
    );
  }
  return checkMax(Math.max(0, instant - now), maxMs);
};

function checkMax(delayMs: number, maxMs: number): number {
  if (delayMs > maxMs) {
    throw new NodeFailure("DELAY_INVALID", `A Delay waits for at most ${maxMs / 1000} seconds (limit delayMs).`);
  }
  return delayMs;
}

/** The milliseconds since 1970 of an RFC 3339 date-time. */
function millisOf(value: JsonValue): number | undefined {
  const instant = typeof value === "string" ? parseInstant(value.trim()) : undefined;
  return instant && instant.seconds * 1000 + Number(instant.fraction.slice(0, 3).padEnd(3, "0"));
}

function problemOf(check: () => unknown): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof NodeFailure) {
      return error.message;
    }
    throw error;
  }
}

function shown(value: JsonValue): string {
  const text = JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
