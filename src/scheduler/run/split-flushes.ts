import type { NodeRun } from "../../domain/execution.ts";
import type { Flush } from "../../storage/executions/flush.ts";

/** How much one flush holds: the text of its outputs, and of one more at the most. */
const flushCharsMax = 1024 * 1024;

/** What a record takes beside its output, roughly. */
const recordChars = 256;

/** Parts records into flushes, as an execution's journal begins with them. */
export function flushesOf(runs: readonly NodeRun[]): readonly Flush[] {
  const left = [...runs];
  const flushes: Flush[] = [];
  while (left.length > 0) flushes.push({ index: flushes.length, runs: left.splice(0, flushLength(left)) });
  return flushes;
}

/** How many records, counted from the first, one flush holds. */
export function flushLength(runs: readonly NodeRun[]): number {
  let chars = 0;
  for (const [index, { input = "", output = "" }] of runs.entries()) {
    chars += recordChars + input.length + output.length;
    if (chars >= flushCharsMax) return index + 1;
  }
  return runs.length;
}
