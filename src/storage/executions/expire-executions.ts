import { type Kysely, type RawBuilder, sql } from "kysely";
import type { Outcome } from "../../domain/execution.ts";
import { cautiousNow, isClockAsExpected } from "../postgres/database-clock.ts";
import type { Tables } from "../postgres/tables.ts";
import { poisonLosses, ranMs } from "./execution-claim.ts";
import { toEndRow } from "./execution-rows.ts";

export type ExpireLimits = {
  /** An execution may run for this long, without its waits. */
  readonly runMs: number;
  /** An execution may become this old, with its waits. */
  readonly ageMs: number;
  /** One statement ends this many at most. */
  readonly limit: number;
  /** The expected time of the database's clock. Where it differs, or is not known, no execution counts as too long. */
  readonly now: number | undefined;
};

/**
 * Ends executions that have run for too long, are too old, or are poisoned, whoever owns them. Answers how each ended,
 * without the response that it may have.
 */
export async function expireExecutions(
  db: Kysely<Tables>,
  { runMs, ageMs, limit, now }: ExpireLimits,
): Promise<ReadonlyMap<string, Outcome>> {
  const isOverdue = {
    column: "owner",
    condition: sql<boolean>`owner is not null and ${ranMs} > ${runMs} and ${isClockAsExpected(now)}`,
  } as const;
  const isTooOld = { column: "execution_id", condition: sql<boolean>`execution_id < ${idOfAge(ageMs)}` } as const;
  const isPoison = { column: "losses", condition: sql<boolean>`losses >= ${sql.lit(poisonLosses)}` } as const;
  const overdue = timedOut(`The execution has run for longer than ${runMs / 1000} seconds (limit runMs).`);
  const tooOld = timedOut(`The execution is older than ${ageMs / 1000} seconds (limit ageMs).`);
  return new Map([
    ...(await end(db, isOverdue, overdue, limit)),
    ...(await end(db, isTooOld, tooOld, limit)),
    ...(await end(db, isPoison, poisoned, limit)),
  ]);
}

/** The smallest id that an execution of that age may have: ids begin with their second. */
export function idOfAge(ms: number): RawBuilder<string> {
  return idAt(sql`${cautiousNow()} - make_interval(secs => ${ms / 1000})`);
}

/** The smallest id that is made at a time. */
export function idAt(time: RawBuilder<unknown>): RawBuilder<string> {
  return sql<string>`lpad(to_hex(extract(epoch from ${time})::bigint), 8, '0')`;
}

const poisoned: Outcome = {
  state: "ERRORED",
  error: {
    reason: "EXECUTION_POISONED",
    message: `${poisonLosses} processes in a row began to run it, and none could go on.`,
  },
};

function timedOut(message: string): Outcome {
  return { state: "TIMED_OUT", error: { reason: "EXECUTION_TIMED_OUT", message } };
}

/** Ordered by the column of its condition, so that Postgres reads that column's index and not the whole queue. */
type Which = { readonly column: "owner" | "execution_id" | "losses"; readonly condition: RawBuilder<boolean> };

/** Ends many as `stopExecution` ends one. Executions that their owner is writing at this moment wait for the next sweep. */
async function end(db: Kysely<Tables>, which: Which, outcome: Outcome, limit: number) {
  const rows = await db
    .with(
      (cte) => cte("chosen").materialized(),
      (query) =>
        query
          .selectFrom("execution_claim")
          .select("execution_id")
          .where(which.condition)
          .orderBy(which.column)
          .limit(limit)
          .forUpdate()
          .skipLocked(),
    )
    .with("released", (query) =>
      query
        .deleteFrom("execution_claim")
        .using("chosen")
        .whereRef("execution_claim.execution_id", "=", "chosen.execution_id")
        .returning(["execution_claim.execution_id", "execution_claim.environment_id", "execution_claim.epoch"]),
    )
    .updateTable("execution")
    .from("released")
    .set({ ...toEndRow(outcome), finished_epoch: sql`released.epoch + 1`, end_time: sql`now()` })
    .whereRef("execution.id", "=", "released.execution_id")
    .whereRef("execution.environment_id", "=", "released.environment_id")
    .where("execution.state", "is", null)
    .returning("execution.id")
    .execute();
  return rows.map(({ id }): [string, Outcome] => [id, outcome]);
}
