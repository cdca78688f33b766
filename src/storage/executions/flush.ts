import type { NodeRun } from "../../domain/execution.ts";

/** What one flush adds to the journal: `index` counts an execution's flushes from 0. */
export type Flush = { readonly index: number; readonly runs: readonly NodeRun[] };
