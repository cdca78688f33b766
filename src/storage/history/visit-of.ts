import type { NodeRun } from "../../domain/execution.ts";

/**
 * The node run that a record describes; undefined for the records of waits and attempts, whose paths do not end with the
 * id of a node. The intent of an AT_MOST_ONCE request is recorded before it is sent. Where no later record replaces the
 * intent until the execution ends, nobody knows whether the request was sent.
 */
export function visitOf(record: NodeRun, { isEnded = false }: { readonly isEnded?: boolean }): NodeRun | undefined {
  const { path, node_id } = record;
  if (path === node_id || path.endsWith(`/${node_id}`)) {
    return record;
  }
  if (!isEnded || !isIntent(record)) {
    return undefined;
  }
  const message = "The request may be sent only once, and the execution ended before its answer was recorded.";
  const error = { reason: "OUTCOME_UNKNOWN", message, node_id };
  return { ...record, path: path.slice(0, -intentSuffix.length), state: "ERRORED", error };
}

const intentSuffix = "#intent";

function isIntent({ path }: NodeRun): boolean {
  return path.endsWith(intentSuffix);
}

/** Whether a record is of an iteration of the Group at a path. */
export function isIterationOf(group: string, { path }: NodeRun): boolean {
  return path.startsWith(group) && /^\[\d+\]$/.test(path.slice(group.length));
}
