import type { NodeRun } from "../../domain/execution.ts";

/** Below this many characters a flush is as soon read whole as in part. */
const headsFrom = 32 * 1024;

/** A flush as it is kept: its records and, where those are large, beside them what is asked for most. */
export type FlushRow = {
  /** JSON text of an array of NodeRun. */
  readonly entries: string;
  /** The same without what the nodes were given and gave. Null where that would save little. */
  readonly heads: string | null;
};

export function toFlushRow(runs: readonly NodeRun[]): FlushRow {
  const entries = JSON.stringify(runs);
  if (entries.length < headsFrom) return { entries, heads: null };
  const heads = JSON.stringify(runs.map(({ input, output, sealed, ...head }) => head));
  return { entries, heads: heads.length < entries.length / 2 ? heads : null };
}
