import type { NodeRun } from "../../domain/execution.ts";
import type { Flush } from "../../storage/executions/flush.ts";

/** A flush is full when its texts have this length; the last record may exceed it. */
export const flushCharsMax = 1024 * 1024;

/** A rough size of a record without its texts. */
const recordChars = 256;

/** Splits the records that an execution's journal begins with into flushes. */
export function splitFlushes(runs: readonly NodeRun[]): readonly Flush[] {
  const left = [...runs];
  const flushes: Flush[] = [];
  while (left.length > 0) {
    flushes.push({ index: flushes.length, runs: left.splice(0, flushLength(left)) });
  }
  return flushes;
}

/** How many of the first records fit into one flush. */
export function flushLength(runs: readonly NodeRun[]): number {
  let chars = 0;
  for (const [index, { input = "", output = "" }] of runs.entries()) {
    chars += recordChars + input.length + output.length;
    if (chars >= flushCharsMax) {
      return index + 1;
    }
  }
  return runs.length;
}
