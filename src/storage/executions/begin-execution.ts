import { type Kysely, sql } from "kysely";
import type { Account } from "../../domain/account.ts";
import type { Answer, IdempotencyKey, NewExecution } from "../../domain/execution.ts";
import { cautiousNow } from "../postgres/database-clock.ts";
import { byInputRow, columnList, inputRows } from "../postgres/input-rows.ts";
import type { Tables } from "../postgres/tables.ts";
import { answerTypes, startTypes, toAnswerRow, toStartRow } from "./execution-rows.ts";
import type { Flush } from "./flush.ts";
import { toFlushRow } from "./flush-rows.ts";

export type Begin = {
  /** Who runs it from the start; it is queued where nobody does. */
  readonly owner?: string | undefined;
  readonly idempotencyKey?: IdempotencyKey | undefined;
  /** What its journal begins with: recorded results of another execution. */
  readonly flushes?: readonly Flush[] | undefined;
  /** The response, where the record of the node that set it is among those. */
  readonly answer?: Answer | undefined;
  /** The wrapped key of what it hides, kept until its end. */
  readonly sealKey?: string | undefined;
  /** The name of the key that wrapped it. */
  readonly sealedBy?: string | undefined;
};

/** The execution that a key stands for already, and what its call was about. */
export type BoundExecution = { readonly executionId: string; readonly fingerprint: string };

/** An execution to be accepted. */
export type Beginning = { readonly execution: NewExecution; readonly begin: Begin };

/** A key of an account. */
export type AccountKey = Account & { readonly key: string };

/** How long a key is kept after the end of its execution. */
const idempotencyHours = 24;

/** What no two executions of one statement may have in common: their key. */
export function keyOfBeginning({ execution, begin: { idempotencyKey } }: Beginning): string | undefined {
  return idempotencyKey && JSON.stringify([execution.environmentId, execution.linkedAccountId, idempotencyKey.key]);
}

/**
 * Accepts executions: see ExecutionStore.begin.
 *
 * Of calls that race with one key the first to insert its row wins; the others wait there for its commit, move no row,
 * and so insert no execution either.
 */
export async function beginExecutions(
  db: Kysely<Tables>,
  all: readonly Beginning[],
): Promise<readonly (BoundExecution | undefined)[]> {
  const settled = new Map<string, BoundExecution | undefined>();
  let left = all;
  while (left.length > 0) {
    for (const id of await insertAll(db, left)) settled.set(id, undefined);
    const keyed: (AccountKey & { readonly id: string })[] = [];
    for (const { execution, begin } of left) {
      const { id } = execution;
      if (settled.has(id)) continue;
      // Without a key it stands in the way of itself alone: it was committed by an earlier try.
      if (begin.idempotencyKey === undefined) settled.set(id, undefined);
      else keyed.push({ ...execution, key: begin.idempotencyKey.key, id });
    }
    const bound = keyed.length === 0 ? [] : await findAllBound(db, keyed);
    for (const [index, { id }] of keyed.entries()) {
      const by = bound[index];
      if (by !== undefined) settled.set(id, by.executionId === id ? undefined : by);
    }
    // A key that was deleted in between is free.
    left = left.filter(({ execution }) => !settled.has(execution.id));
  }
  return all.map(({ execution }) => settled.get(execution.id));
}

/**
 * Accepts an execution whose journal begins with more than one statement holds: one flush after the other, and all in one
 * transaction.
 */
export async function beginSeeded(
  db: Kysely<Tables>,
  { execution, begin }: Beginning,
): Promise<BoundExecution | undefined> {
  const [first, ...rest] = begin.flushes ?? [];
  return await db.transaction().execute(async (transaction) => {
    const flushes = first === undefined ? [] : [first];
    const [bound] = await beginExecutions(transaction, [{ execution, begin: { ...begin, flushes } }]);
    for (const flush of bound === undefined ? rest : []) {
      const [row] = toSeedRows({ execution, begin: { flushes: [flush] } });
      if (row !== undefined)
        await transaction
          .insertInto("journal")
          .values({ ...row, epoch: 1 })
          .execute();
    }
    return bound;
  });
}

/** Whether a key's execution ended so long ago that it is free again. Not `exists`, which may be planned as a scan. */
function isOver(key: "idempotency_key" | "bound") {
  return sql`(select end_time from execution where execution.id = ${sql.ref(`${key}.execution_id`)})
    < ${cautiousNow()} - make_interval(hours => ${sql.lit(idempotencyHours)})`;
}

const acceptedTypes = { ...startTypes, ...answerTypes } as const;

const beginningTypes = {
  ...acceptedTypes,
  key: "text",
  fingerprint: "text",
  owner: "text",
  epoch: "int",
  seal_key: "text",
  sealed_by: "text",
} as const;

const seedTypes = {
  execution_id: "text",
  environment_id: "text",
  flush_index: "int",
  entries: "text",
  heads: "text",
} as const;

/** Answers the ids of those that were accepted. */
async function insertAll(db: Kysely<Tables>, all: readonly Beginning[]): Promise<readonly string[]> {
  const { rows } = await sql<{ execution_id: string }>`
    with input as materialized (select * from ${inputRows("input", beginningTypes, all.map(toBeginningRow))}),
    bound as (
      insert into idempotency_key (environment_id, linked_account_id, key, fingerprint, execution_id)
      select environment_id, linked_account_id, key, fingerprint, id from input where key is not null
        -- In the order of their keys, so that two statements never wait for each other.
        order by environment_id, linked_account_id, key
      on conflict (environment_id, linked_account_id, key)
        do update set fingerprint = excluded.fingerprint, execution_id = excluded.execution_id
        where ${isOver("idempotency_key")}
      returning execution_id
    ),
    accepted as (
      insert into execution (${columnList(acceptedTypes)})
      select ${columnList(acceptedTypes)} from input
        where key is null or exists (select from bound where bound.execution_id = input.id)
      on conflict (id) do nothing returning id
    ),
    seeded as (
      insert into journal (execution_id, environment_id, flush_index, epoch, entries, heads)
      select seed.execution_id, seed.environment_id, seed.flush_index, 1, seed.entries, seed.heads
        from ${inputRows("seed", seedTypes, all.flatMap(toSeedRows))}
        where exists (select from accepted where accepted.id = seed.execution_id)
    )
    insert into execution_claim
      (execution_id, environment_id, linked_account_id, owner, epoch, run_since, seal_key, sealed_by)
    select id, environment_id, linked_account_id, owner, epoch, case when owner is not null then now() end, seal_key,
           sealed_by
      from input where exists (select from accepted where accepted.id = input.id)
    returning execution_id`.execute(db);
  return rows.map(({ execution_id }) => execution_id);
}

function toBeginningRow({ execution, begin }: Beginning) {
  const { owner, idempotencyKey, flushes = [], answer, sealKey, sealedBy } = begin;
  return {
    ...toStartRow(execution),
    ...toAnswerRow(answer),
    key: idempotencyKey?.key ?? null,
    fingerprint: idempotencyKey?.fingerprint ?? null,
    owner: owner ?? null,
    // A journal is read for executions that have had an epoch.
    epoch: owner === undefined && flushes.length === 0 ? 0 : 1,
    seal_key: sealKey ?? null,
    sealed_by: sealedBy ?? null,
  };
}

function toSeedRows({ execution: { id, environmentId }, begin: { flushes = [] } }: Beginning) {
  return flushes.map(({ index, runs }) => ({
    execution_id: id,
    environment_id: environmentId,
    flush_index: index,
    ...toFlushRow(runs),
  }));
}

const keyTypes = { environment_id: "text", linked_account_id: "text", key: "text" } as const;

/** The executions that keys stand for still. */
export async function findAllBound(
  db: Kysely<Tables>,
  keys: readonly AccountKey[],
): Promise<readonly (BoundExecution | undefined)[]> {
  const input = keys.map(({ environmentId, linkedAccountId, key }) => ({
    environment_id: environmentId,
    linked_account_id: linkedAccountId,
    key,
  }));
  const { rows } = await sql<{ row: number; execution_id: string; fingerprint: string }>`
    select input.row, bound.execution_id, bound.fingerprint
      from ${inputRows("input", keyTypes, input)} join idempotency_key as bound using (${columnList(keyTypes)})
     where ${isOver("bound")} is not true`.execute(db);
  return byInputRow(keys, rows).map(([bound]) => {
    return bound && { executionId: bound.execution_id, fingerprint: bound.fingerprint };
  });
}
