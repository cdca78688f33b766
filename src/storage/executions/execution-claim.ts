import { sql } from "kysely";

/**
 * The fencing token of an execution: its owner and the epoch, which each claim of it raises by one. Every write of an
 * owner names both. Once another process has claimed the execution, the token matches no row and the write changes nothing.
 */
export type Claim = {
  readonly environmentId: string;
  readonly executionId: string;
  /** Names one start of a process. No other start ever has the same name. */
  readonly owner: string;
  readonly epoch: number;
};

/** The columns of a fencing token, for `inputRows`. */
export const claimTypes = { execution_id: "text", environment_id: "text", owner: "text", epoch: "int" } as const;

export function toClaimRow({ executionId, environmentId, owner, epoch }: Claim) {
  return { execution_id: executionId, environment_id: environmentId, owner, epoch };
}

/** Sorted by id: two statements that lock claims in the same order cannot deadlock. */
export function inLockOrder<Row extends { readonly execution_id: string }>(rows: readonly Row[]): readonly Row[] {
  return rows.toSorted((left, right) => (left.execution_id < right.execution_id ? -1 : 1));
}

/**
 * After this many losses of its owner in a row an execution is quarantined: it may be what kills the processes that run it.
 * The number stands as a literal in the statements, since the partial indexes of the queue name it.
 */
const quarantineLosses = 2;

/** After this many losses in a row an execution is ended as EXECUTION_POISONED. */
export const poisonLosses = 4;

export const isQuarantined = sql<boolean>`losses >= ${sql.lit(quarantineLosses)}`;

/** Waits in the queue, due now or later. */
export const isQueued = sql<boolean>`owner is null and losses < ${sql.lit(quarantineLosses)}`;

/** Waits in the queue and may be claimed now. */
export const isDue = sql<boolean>`${isQueued} and due_time <= now()`;

/** Losses count for this long: an execution that kills a process more rarely than that does little harm. */
export const lossLife = sql`interval '10 minutes'`;

/** Quarantines an execution that is not quarantined yet and has been lost once more. */
export const lossesUpToQuarantine = sql<number>`greatest(losses, least(losses + 1, ${sql.lit(quarantineLosses)}))`;

/** Rescued executions go to the head of their account's queue, ahead of older ones that have not started. */
export const dueFirst = sql<Date>`'epoch'::timestamptz`;

/** Milliseconds that an execution has run so far, under all its owners. */
export const ranMs = sql<number>`run_ms + coalesce(extract(epoch from now() - run_since) * 1000, 0)::bigint`;
