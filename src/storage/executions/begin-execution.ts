import { type Kysely, sql } from "kysely";
import { type Account, turnOf } from "../../domain/account.ts";
import type { Answer, IdempotencyKey, NewExecution } from "../../domain/execution.ts";
import { cautiousNow } from "../postgres/database-clock.ts";
import { byInputRow, columnList, inputRows } from "../postgres/input-rows.ts";
import { type BatchLimits, StatementBatcher } from "../postgres/statement-batcher.ts";
import type { Tables } from "../postgres/tables.ts";
import { answerTypes, startTypes, toAnswerRow, toStartRow } from "./execution-rows.ts";
import { type Flush, outputChars, toFlushRow } from "./flush.ts";

export type Begin = {
  /** The process that runs it from the start; without one it is queued. */
  readonly owner?: string | undefined;
  readonly idempotencyKey?: IdempotencyKey | undefined;
  /** The first flushes of its journal: recorded results of another execution. */
  readonly flushes?: readonly Flush[] | undefined;
  /** The response, where the record of the node that set it is among those. */
  readonly answer?: Answer | undefined;
  /** Its data key, wrapped by a master key (envelope encryption). It is kept until the execution ends. */
  readonly sealKey?: string | undefined;
  /** The name of the master key that wrapped it. */
  readonly sealedBy?: string | undefined;
};

/** The execution that an idempotency key stands for, and the fingerprint of the call that started it. */
export type BoundExecution = { readonly executionId: string; readonly fingerprint: string };

type Beginning = { readonly execution: NewExecution; readonly begin: Begin };

/** An idempotency key of an account. */
type AccountKey = Account & { readonly key: string };

/** An idempotency key is kept for this long after the end of its execution. */
const idempotencyHours = 24;

/** Answers the execution that the idempotency key stands for already, if there is one; then nothing was accepted. */
export type BeginExecution = (execution: NewExecution, begin?: Begin) => Promise<BoundExecution | undefined>;

/**
 * Accepts executions: owned at once in epoch 1, or queued where no owner is given. Two beginnings with one key never go
 * in one statement.
 */
export function beginExecution(
  { db, callsDb }: { readonly db: Kysely<Tables>; readonly callsDb: Kysely<Tables> },
  limits: BatchLimits,
): BeginExecution {
  const batcher = new StatementBatcher<Beginning, BoundExecution | undefined>({
    limits,
    send: (all) => beginExecutions(db, all),
    turnOf: ({ execution }) => turnOf(execution),
    keyOf: ({ execution, begin: { idempotencyKey } }) =>
      idempotencyKey && JSON.stringify([execution.environmentId, execution.linkedAccountId, idempotencyKey.key]),
    charsOf: ({ execution, begin: { flushes = [] } }) =>
      flushes.reduce((chars, { runs }) => chars + outputChars(runs), execution.payload.length),
  });
  return (execution, begin = {}) =>
    (begin.flushes?.length ?? 0) > 1 ? beginSeeded(callsDb, { execution, begin }) : batcher.call({ execution, begin });
}

/** Finds the execution that an idempotency key of an account stands for. */
export type FindBound = (account: Account, key: string) => Promise<BoundExecution | undefined>;

export function findBoundExecution(db: Kysely<Tables>, limits: BatchLimits): FindBound {
  const batcher = new StatementBatcher<AccountKey, BoundExecution | undefined>({
    limits,
    send: (all) => findAllBound(db, all),
    turnOf,
  });
  return ({ organizationId, environmentId, linkedAccountId }, key) =>
    batcher.call({ organizationId, environmentId, linkedAccountId, key });
}

/**
 * Of calls that race with one key the first to insert its row wins. The others wait there for its commit, insert no row,
 * and so insert no execution either.
 */
async function beginExecutions(
  db: Kysely<Tables>,
  all: readonly Beginning[],
): Promise<readonly (BoundExecution | undefined)[]> {
  const settled = new Map<string, BoundExecution | undefined>();
  let left = all;
  while (left.length > 0) {
    for (const id of await insertAll(db, left)) {
      settled.set(id, undefined);
    }
    const keyed: (AccountKey & { readonly id: string })[] = [];
    for (const { execution, begin } of left) {
      const { id } = execution;
      if (settled.has(id)) {
        continue;
      }
      // Without a key only the execution itself can conflict: an earlier try committed it, and its answer was lost.
      if (begin.idempotencyKey === undefined) {
        settled.set(id, undefined);
      } else {
        keyed.push({ ...execution, key: begin.idempotencyKey.key, id });
      }
    }
    const bound = keyed.length === 0 ? [] : await findAllBound(db, keyed);
    for (const [index, { id }] of keyed.entries()) {
      const by = bound[index];
      if (by !== undefined) {
        settled.set(id, by.executionId === id ? undefined : by);
      }
    }
    // A key that was deleted in between is free again.
    left = left.filter(({ execution }) => !settled.has(execution.id));
  }
  return all.map(({ execution }) => settled.get(execution.id));
}

/** Accepts an execution whose first flushes are too large for one statement: one after the other, in one transaction. */
async function beginSeeded(db: Kysely<Tables>, { execution, begin }: Beginning): Promise<BoundExecution | undefined> {
  const [first, ...rest] = begin.flushes ?? [];
  return await db.transaction().execute(async (transaction) => {
    const flushes = first === undefined ? [] : [first];
    const [bound] = await beginExecutions(transaction, [{ execution, begin: { ...begin, flushes } }]);
    for (const flush of bound === undefined ? rest : []) {
      const [row] = toSeedRows({ execution, begin: { flushes: [flush] } });
      if (row !== undefined) {
        await transaction
          .insertInto("journal")
          .values({ ...row, epoch: 1 })
          .execute();
      }
    }
    return bound;
  });
}

/** A key is free again some time after the end of its execution. No `exists` here: it may be planned as a scan. */
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

/** Answers the ids of the executions that were accepted. */
async function insertAll(db: Kysely<Tables>, all: readonly Beginning[]): Promise<readonly string[]> {
  const { rows } = await sql<{ execution_id: string }>`
    with input as materialized (select * from ${inputRows("input", beginningTypes, all.map(toBeginningRow))}),
    bound as (
      insert into idempotency_key (environment_id, linked_account_id, key, fingerprint, execution_id)
      select environment_id, linked_account_id, key, fingerprint, id from input where key is not null
        -- In the order of their keys, so that two statements cannot deadlock.
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
    // An execution in epoch 0 has no journal to read.
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

async function findAllBound(
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
