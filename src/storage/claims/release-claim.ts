/**
 * How an execution leaves its owner: each statement names the owner that it leaves.
 */
import { type Kysely, sql } from "kysely";
import type { Claim } from "../executions/claim-row.ts";
import { ranMs } from "../executions/execution-rows.ts";
import type { Tables } from "../postgres/tables.ts";

/** What lost its owner has begun, and goes before all of its account that has not: it may be younger than they are. */
export const dueFirst = sql<Date>`'epoch'::timestamptz`;

const freed = { owner: null, run_ms: ranMs, run_since: null, due_time: dueFirst };

/** After so many losses in a row an execution is a suspect: it may be what its owners died of. */
export const isSuspect = sql<boolean>`losses >= 2`;

/** After so many it is ended. */
export const lossesMax = 4;

/**
 * For so long a loss counts: what kills a process no more often than that does little harm. What is recorded meanwhile,
 * and what waits are passed, says nothing: what kills each process that runs it may do both in each life.
 */
export const lossLife = sql`interval '10 minutes'`;

/** How long an execution is put off at most, on average. */
const putOffMaxMs = 8_000;

export type Suspension = Claim & {
  readonly ms: number;
  /** The time that it sleeps until, in milliseconds since 1970, by the clock of the run that sleeps. */
  readonly wakeTime: number;
};

/** See ExecutionStore.suspend. A wait that ends so long after the last loss ends the row of losses. */
export async function suspendExecution(db: Kysely<Tables>, { ms, wakeTime, ...claim }: Suspension) {
  const { numUpdatedRows } = await held(db, claim)
    .set({
      ...freed,
      // A loss that is in the future now was counted before the clock was set back: nobody knows how old it is.
      losses: sql`case when loss_time > now() + make_interval(secs => ${ms / 1000}) - ${lossLife}
        and loss_time < now() + interval '1 second' then losses else 0 end`,
      due_time: sql`now() + make_interval(secs => ${ms / 1000})`,
      due_set_time: sql`now()`,
      wake_time: new Date(wakeTime),
    })
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** See ExecutionStore.defer: nothing is wrong with it, and so no loss is counted. */
export async function deferExecution(db: Kysely<Tables>, { ms, ...claim }: Claim & { readonly ms: number }) {
  const { numUpdatedRows } = await held(db, claim)
    .set({ ...freed, due_time: sql`now() + make_interval(secs => ${ms / 1000})`, due_set_time: sql`now()` })
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** See ExecutionStore.putOff: for twice as long each time, and not for all the same time. */
export async function putOffExecution(db: Kysely<Tables>, claim: Claim): Promise<void> {
  const ms = sql`least(500 * 2 ^ losses, ${putOffMaxMs}) * (0.5 + random())`;
  await held(db, claim)
    .set({
      ...freed,
      losses: sql`losses + 1`,
      loss_time: sql`now()`,
      due_time: sql`now() + ${ms} * interval '1 millisecond'`,
      due_set_time: sql`now()`,
    })
    .execute();
}

/** See ExecutionStore.release. An owner that stops in peace is no loss. */
export async function releaseOwned(db: Kysely<Tables>, owner: string): Promise<number> {
  const { numUpdatedRows } = await db
    .updateTable("execution_claim")
    .set({ ...freed, losses: 0 })
    .where("owner", "=", owner)
    .executeTakeFirstOrThrow();
  return Number(numUpdatedRows);
}

/** See ExecutionStore.listOwned. */
export async function listOwned(db: Kysely<Tables>, owner: string): Promise<readonly string[]> {
  const rows = await db.selectFrom("execution_claim").select("execution_id").where("owner", "=", owner).execute();
  return rows.map(({ execution_id }) => execution_id);
}

/**
 * See ExecutionStore.releaseStrays. One whose claim is lost each time is not claimed with others for ever; but nothing was
 * found to be wrong with it, and it is never ended for that.
 */
export async function releaseStrays(
  db: Kysely<Tables>,
  { owner, ids }: { readonly owner: string; readonly ids: readonly string[] },
): Promise<number> {
  const { numUpdatedRows } = await db
    .updateTable("execution_claim")
    .set({ ...freed, losses: sql`greatest(losses, least(losses + 1, 2))`, loss_time: sql`now()` })
    .where("owner", "=", owner)
    .where("execution_id", "=", sql<string>`any(${ids}::text[])`)
    .executeTakeFirstOrThrow();
  return Number(numUpdatedRows);
}

/** See ExecutionStore.acquit. */
export async function acquitSuspect(db: Kysely<Tables>, owner: string): Promise<void> {
  await db
    .updateTable("execution_claim")
    .set({ losses: 0, trials: sql`trials + 1` })
    .where(isSuspect)
    .where("owner", "=", owner)
    .execute();
}

function held(db: Kysely<Tables>, { environmentId, executionId, owner, epoch }: Claim) {
  return db
    .updateTable("execution_claim")
    .where("execution_id", "=", executionId)
    .where("environment_id", "=", environmentId)
    .where("owner", "=", owner)
    .where("epoch", "=", epoch);
}
