import type { DescEnum, JsonObject } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type ExecutionError,
  type NodeRun,
  NodeRun_StateSchema as NodeStateSchema,
} from "../../gen/flowcall/v1/execution_pb.ts";

import { printable } from "../output/output.ts";

/** As `EGRESS_DENIED at node 2 (Call): …`. */
export function errorText(error: ExecutionError | undefined): string {
  if (error === undefined) return "no reason is known";
  const { reason, message, nodeId, nodeName } = error;
  const name = nodeName === undefined || nodeName === "" ? "" : ` (${nodeName})`;
  return printable(`${reason}${nodeId === undefined ? "" : ` at node ${nodeId}${name}`}: ${message}`);
}

/** A time in UTC to the millisecond, as RFC 3339 writes it. */
export function timeText(time: Timestamp | undefined): string | undefined {
  return time === undefined ? undefined : timestampDate(time).toISOString();
}

/** As `850ms`, `12.3s` or `3h5m`. */
export function durationText(start: Timestamp | undefined, end: Timestamp | undefined): string {
  if (start === undefined || end === undefined) return "";
  const ms = timestampDate(end).getTime() - timestampDate(start).getTime();
  if (ms < 1_000) return `${ms}ms`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes === 0) return `${(ms / 1_000).toFixed(1)}s`;
  return minutes < 60
    ? `${minutes}m${Math.floor((ms % 60_000) / 1_000)}s`
    : `${Math.floor(minutes / 60)}h${minutes % 60}m`;
}

/** A value's word; of one that this version does not know its number. */
export function wordOf(words: DescEnum, value: number): string {
  return words.value[value]?.name ?? String(value);
}

/** How long a node run took, since when it runs, or until when it waits. */
export function spanText({ startTime, endTime, waitEndTime }: NodeRun): string {
  if (endTime !== undefined) return durationText(startTime, endTime);
  return waitEndTime === undefined ? `since ${timeText(startTime) ?? "?"}` : `until ${timeText(waitEndTime)}`;
}

/** One node run on a line: path, state, name, how long, and what went wrong. `stateWidth` aligns it with others. */
export function nodeRunText(run: NodeRun, stateWidth = 9): string {
  const { path, state, name, endTime, attempts = 1, error, notes } = run;
  const parts = [
    wordOf(NodeStateSchema, state).padEnd(stateWidth),
    path,
    name ?? "",
    spanText(run),
    attempts > 1 ? (endTime === undefined ? `attempt ${attempts}` : `${attempts} attempts`) : "",
    error === undefined ? "" : `${error.reason}: ${error.message}`,
    notesText(notes.length),
  ];
  return printable(parts.filter((part) => part !== "").join("  "));
}

export function notesText(count: number): string {
  return count === 0 ? "" : count === 1 ? "1 note" : `${count} notes`;
}

/** A member of a message's JSON that is a text. */
export function member(json: JsonObject, name: string): string | undefined {
  const value = json[name];
  return value === undefined || value === null || typeof value === "object" ? undefined : String(value);
}
