import type { NodeRun } from "../../domain/execution.ts";

/** One write to the journal of an execution. `index` counts its flushes from 0. */
export type Flush = { readonly index: number; readonly runs: readonly NodeRun[] };

/** Below this many characters a flush is read whole as fast as without its outputs. */
const headsFrom = 32 * 1024;

/** The text of a flush: all records and, where those are large, beside them the heads of the same records. */
export type FlushRow = {
  /** JSON text of an array of NodeRun. */
  readonly entries: string;
  /** JSON text of the same array as `headOf` leaves them. Null where that would save little. */
  readonly heads: string | null;
};

/** A record without what may be large in it. */
export type RecordHead = Omit<NodeRun, "input" | "request" | "output" | "errors" | "console" | "sealed">;

export function headOf({ input, request, output, errors, console, sealed, ...head }: NodeRun): RecordHead {
  return head;
}

export function toFlushRow(runs: readonly NodeRun[]): FlushRow {
  const entries = JSON.stringify(runs);
  if (entries.length < headsFrom) {
    return { entries, heads: null };
  }
  const heads = JSON.stringify(runs.map(headOf));
  return { entries, heads: heads.length < entries.length / 2 ? heads : null };
}

/** The size of records for a `StatementBatcher`: of outputs and lists of errors, which are all of it that can be large. */
export function outputChars(runs: readonly NodeRun[]): number {
  return runs.reduce((chars, { output = "", errors = "" }) => chars + output.length + errors.length, 0);
}
