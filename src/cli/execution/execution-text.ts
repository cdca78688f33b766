import type { DescEnum, JsonObject } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type ExecutionError,
  type NodeRun,
  NodeRun_StateSchema as NodeStateSchema,
} from "../../gen/flowcall/v1/execution_pb.ts";
import { printable } from "../output/output.ts";

/** For example `EGRESS_DENIED at node 2 (Call): …`. */
export function errorText(error: ExecutionError | undefined): string {
  if (error === undefined) {
    return "no reason is recorded";
  }
  const { reason, message, nodeId, nodeName } = error;
  const name = nodeName === undefined || nodeName === "" ? "" : ` (${nodeName})`;
  return printable(`${reason}${nodeId === undefined ? "" : ` at node ${nodeId}${name}`}: ${message}`);
}

/** A time in UTC to the millisecond, in the format of RFC 3339. */
export function timeText(time: Timestamp | undefined): string | undefined {
  return time === undefined ? undefined : timestampDate(time).toISOString();
}

/** For example `850ms`, `12.3s` or `3h5m`. */
export function durationText(start: Timestamp | undefined, end: Timestamp | undefined): string {
  if (start === undefined || end === undefined) {
    return "";
  }
  const ms = timestampDate(end).getTime() - timestampDate(start).getTime();
  if (ms < 1_000) {
    return `${ms}ms`;
  }
  const minutes = Math.floor(ms / 60_000);
  if (minutes === 0) {
    return `${(ms / 1_000).toFixed(1)}s`;
  }
  return minutes < 60
    ? `${minutes}m${Math.floor((ms % 60_000) / 1_000)}s`
    : `${Math.floor(minutes / 60)}h${minutes % 60}m`;
}

/** The name of an enum's value, or the number of a value that this version does not know. */
export function wordOf(words: DescEnum, value: number): string {
  return words.value[value]?.name ?? String(value);
}

/** The duration of a node run that ended, the start of one that runs, or the end of a wait. */
export function spanText({ startTime, endTime, waitEndTime }: NodeRun): string {
  if (endTime !== undefined) {
    return durationText(startTime, endTime);
  }
  return waitEndTime === undefined ? `since ${timeText(startTime) ?? "?"}` : `until ${timeText(waitEndTime)}`;
}

/** A node run as one line: state, path, name, duration, attempts, error. `stateWidth` aligns several lines. */
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

/** A scalar member of a message's JSON, as text. */
export function member(json: JsonObject, name: string): string | undefined {
  const value = json[name];
  return value === undefined || value === null || typeof value === "object" ? undefined : String(value);
}
