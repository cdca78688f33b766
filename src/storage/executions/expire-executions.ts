import { type Kysely, type RawBuilder, sql } from "kysely";
import type { Outcome } from "../../domain/execution.ts";
import { lossesMax } from "../claims/release-claim.ts";
import { cautiousNow, isClockAsExpected } from "../postgres/database-clock.ts";
import type { Tables } from "../postgres/tables.ts";
import { ranMs, toEndRow } from "./execution-rows.ts";

export type ExpireLimits = {
  /** How long an execution may run, its waits not counted. */
  readonly runMs: number;
  /** How old an execution may grow, its waits included. */
  readonly ageMs: number;
  /** How many are ended by one statement. */
  readonly limit: number;
  /** What the database's clock should say. Where it says something else, or that is not known, nothing has run too long. */
  readonly now: number | undefined;
};

/** Ends what has run, or is, too long, and what nobody can run: see ExecutionStore.expire. */
export async function expireExecutions(
  db: Kysely<Tables>,
  { runMs, ageMs, limit, now }: ExpireLimits,
): Promise<ReadonlyMap<string, Outcome>> {
  const isOverdue = {
    column: "owner",
    condition: sql<boolean>`owner is not null and ${ranMs} > ${runMs} and ${isClockAsExpected(now)}`,
  } as const;
  const isTooOld = { column: "execution_id", condition: sql<boolean>`execution_id < ${idOfAge(ageMs)}` } as const;
  const isPoison = { column: "losses", condition: sql<boolean>`losses >= ${sql.lit(lossesMax)}` } as const;
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
  return sql<string>`lpad(to_hex(extract(epoch from ${cautiousNow()} - make_interval(secs => ${ms / 1000}))::bigint), 8, '0')`;
}

const poisoned: Outcome = {
  state: "ERRORED",
  error: {
    reason: "EXECUTION_POISONED",
    message: `It was taken up ${lossesMax} times in a row, and no process could go on with it.`,
  },
};

function timedOut(message: string): Outcome {
  return { state: "TIMED_OUT", error: { reason: "EXECUTION_TIMED_OUT", message } };
}

/** Ordered by the column of its condition, so that the index of that is read and not all that is queued. */
type Which = { readonly column: "owner" | "execution_id" | "losses"; readonly condition: RawBuilder<boolean> };

/** As a stop does, of many at a time: what somebody writes at this moment is left for the next sweep. */
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
