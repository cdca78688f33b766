import { type Kysely, sql } from "kysely";
import type { IdempotencyKey, NewExecution } from "../domain/execution.ts";
import { toStartRow } from "./execution-rows.ts";
import type { Flush } from "./flush.ts";
import type { Tables } from "./tables.ts";

export type Begin = {
  /** Who runs it from the start; it is queued where nobody does. */
  readonly owner?: string | undefined;
  readonly idempotencyKey?: IdempotencyKey | undefined;
  /** What its journal begins with: recorded results of another execution. */
  readonly flushes?: readonly Flush[] | undefined;
  /** The wrapped key of what it hides, kept until its end. */
  readonly sealKey?: string | undefined;
};

/** The execution that a key stands for already, and what its call was about. */
export type BoundExecution = { readonly executionId: string; readonly fingerprint: string };

/** How long a key is kept after the end of its execution. */
const idempotencyHours = 24;

/**
 * Accepts an execution: see ExecutionStore.begin.
 *
 * Of calls that race with one key the first to insert its row wins; the others wait there for its commit, move no row,
 * and so insert no execution either.
 */
export async function beginExecution(
  db: Kysely<Tables>,
  execution: NewExecution,
  begin: Begin,
): Promise<BoundExecution | undefined> {
  const { idempotencyKey } = begin;
  if (idempotencyKey === undefined) {
    await insertUnbound(db, execution, begin);
    return undefined;
  }
  for (;;) {
    await insertBound(db, execution, { ...begin, idempotencyKey });
    const bound = await findBound(db, execution, idempotencyKey.key);
    // A key that was deleted in between is free.
    if (bound !== undefined) {
      return bound.executionId === execution.id ? undefined : bound;
    }
  }
}

async function insertUnbound(db: Kysely<Tables>, execution: NewExecution, begin: Begin): Promise<void> {
  await db
    .with("accepted", (query) =>
      query
        .insertInto("execution")
        .values(toStartRow(execution))
        .onConflict((conflict) => conflict.column("id").doNothing())
        .returning(["id", "environment_id"]),
    )
    .with("seeded(flush_index)", () => insertFlushes(begin))
    .insertInto("execution_claim")
    .columns(claimColumns)
    .expression((query) => query.selectFrom("accepted").select(claimValues(begin)))
    .execute();
}

async function insertBound(
  db: Kysely<Tables>,
  execution: NewExecution,
  begin: Begin & { readonly idempotencyKey: IdempotencyKey },
): Promise<void> {
  const { key, fingerprint } = begin.idempotencyKey;
  const row = toStartRow(execution);
  const values = Object.values(row).map((value) =>
    typeof value === "number" ? sql`${value}::int` : sql`${value}::text`,
  );
  await db
    .with("bound", (query) =>
      query
        .insertInto("idempotency_key")
        .values({
          environment_id: execution.environmentId,
          linked_account_id: execution.linkedAccountId,
          key,
          fingerprint,
          execution_id: execution.id,
        })
        .onConflict((conflict) =>
          conflict
            .columns(["environment_id", "linked_account_id", "key"])
            .doUpdateSet({ fingerprint, execution_id: execution.id })
            .where(({ exists, selectFrom }) =>
              exists(
                selectFrom("execution")
                  .select("execution.id")
                  .whereRef("execution.id", "=", "idempotency_key.execution_id")
                  .where("execution.end_time", "<", sql<Date>`now() - make_interval(hours => ${idempotencyHours})`),
              ),
            ),
        )
        .returning("execution_id"),
    )
    .with(
      "accepted(id, environment_id)",
      () =>
        sql<{ id: string; environment_id: string }>`(
        insert into execution (${sql.join(Object.keys(row).map((name) => sql.ref(name)))})
        select ${sql.join(values)} from bound
        on conflict (id) do nothing returning id, environment_id)`,
    )
    .with("seeded(flush_index)", () => insertFlushes(begin))
    .insertInto("execution_claim")
    .columns(claimColumns)
    .expression((query) => query.selectFrom("accepted").select(claimValues(begin)))
    .execute();
}

/** The execution that a key of the execution's account stands for. */
export async function findBound(
  db: Kysely<Tables>,
  { environmentId, linkedAccountId }: NewExecution,
  key: string,
): Promise<BoundExecution | undefined> {
  return await db
    .selectFrom("idempotency_key")
    .select(["execution_id as executionId", "fingerprint"])
    .where("environment_id", "=", environmentId)
    .where("linked_account_id", "=", linkedAccountId)
    .where("key", "=", key)
    .executeTakeFirst();
}

/** An insert of no row where there are none: the statement has one shape, and is prepared once. */
function insertFlushes({ flushes = [] }: Begin) {
  const indexes = flushes.map(({ index }) => index);
  const entries = flushes.map(({ runs }) => JSON.stringify(runs));
  return sql<{ flush_index: number }>`(
    insert into journal (execution_id, environment_id, flush_index, epoch, entries)
    select accepted.id, accepted.environment_id, flush.index, 1, flush.entries
      from accepted, unnest(${indexes}::int[], ${entries}::text[]) as flush(index, entries)
    returning flush_index)`;
}

const claimColumns = ["execution_id", "environment_id", "owner", "epoch", "run_since", "seal_key"] as const;

/** A journal is read for executions that have had an epoch. */
function claimValues({ owner, flushes = [], sealKey }: Begin) {
  return [
    sql<string>`accepted.id`.as("id"),
    sql<string>`accepted.environment_id`.as("environment_id"),
    sql<string | null>`${owner ?? null}::text`.as("owner"),
    sql<number>`${owner === undefined && flushes.length === 0 ? 0 : 1}::int`.as("epoch"),
    sql<Date | null>`case when ${owner ?? null}::text is not null then now() end`.as("run_since"),
    sql<string | null>`${sealKey ?? null}::text`.as("seal_key"),
  ] as const;
}
