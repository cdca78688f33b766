import type { NodeRun } from "./execution.ts";

const begunSuffix = "#begun";

/** Ends the path of the wait for the end of a time-out: `9#1#timeout`. */
export const timeoutMark = "timeout";

/** The journal record that a node has been running for a while. Watchers read it; a replay ignores it. */
export function begunRecord({
  path,
  node_id,
  attempts,
  start_time,
}: Pick<NodeRun, "path" | "node_id" | "attempts" | "start_time">): NodeRun {
  return { path: `${path}${begunSuffix}`, node_id, state: "WAITING", attempts, start_time, end_time: start_time };
}

export function isBegun({ path }: Pick<NodeRun, "path">): boolean {
  return path.endsWith(begunSuffix);
}

/**
 * The unfinished node run that a record announces: RUNNING, or WAITING until its `end_time`. Undefined for other records.
 * A Delay waits under its own path, the backoff before a second attempt under `4#2`.
 */
export function underWayOf(record: NodeRun): NodeRun | undefined {
  const { path, state, start_time, end_time } = record;
  const [base = "", ...marks] = path.split("#");
  const node_id = base.slice(base.lastIndexOf("/") + 1);
  if (isBegun(record)) {
    return { path: base, node_id, state: "RUNNING", attempts: record.attempts, start_time, end_time };
  }
  // Beside the end of a time-out the node is at work.
  if (marks.at(-1) !== "wait" || marks.at(-2) === timeoutMark || state !== "WAITING") {
    return undefined;
  }
  const attempts = marks.length > 1 ? Number(marks[0]) : 1;
  return { path: base, node_id, state: "WAITING", attempts, start_time, end_time };
}
