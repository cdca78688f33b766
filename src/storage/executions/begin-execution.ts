import { type Kysely, type RawBuilder, sql, type Transaction } from "kysely";
import { turnOf } from "../../domain/account.ts";
import type { Answer, IdempotencyKey, NewExecution } from "../../domain/execution.ts";
import { CompiledStatement, type StatementInput } from "../postgres/compiled-statement.ts";
import { cautiousNow } from "../postgres/database-clock.ts";
import { columnList, type InputRow } from "../postgres/input-rows.ts";
import { type BatchLimits, StatementBatcher } from "../postgres/statement-batcher.ts";
import type { Tables } from "../postgres/tables.ts";
import { changedReads, isChanged, type ReadSet, ReadSets } from "../tenants/read-set.ts";
import { listChanged } from "./changed-calls.ts";
import { answerTypes, startTypes, toAnswerRow, toStartRow } from "./execution-rows.ts";
import { type Flush, outputChars, toFlushRow } from "./flush.ts";
import { type AccountKey, type BoundExecution, findAllBound, isOver } from "./idempotency-keys.ts";

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
  /** The cached resolution that the call relied on; absent where it was read for this call. */
  readonly readSet?: ReadSet | undefined;
};

/** The result of a beginning: undefined if the execution was accepted, or else why nothing was written. */
export type Begun = BoundExecution | "changed" | undefined;

type Beginning = { readonly execution: NewExecution; readonly begin: Begin };

/**
 * Answers the execution that the idempotency key stands for already, if there is one, or that what the call was resolved by
 * has changed; then nothing was accepted.
 */
export type BeginExecution = (execution: NewExecution, begin?: Begin) => Promise<Begun>;

/**
 * Accepts executions: owned at once in epoch 1, or queued where no owner is given. Two beginnings with one key never go
 * in one statement.
 */
export function beginExecution(
  { db, callsDb }: { readonly db: Kysely<Tables>; readonly callsDb: Kysely<Tables> },
  limits: BatchLimits,
): BeginExecution {
  const insert = insertStatements();
  const batcher = new StatementBatcher<Beginning, Begun>({
    name: "begin",
    limits,
    send: (all) => beginExecutions(db, insert, all),
    turnOf: ({ execution }) => turnOf(execution),
    keyOf: ({ execution, begin: { idempotencyKey } }) =>
      idempotencyKey && JSON.stringify([execution.environmentId, execution.linkedAccountId, idempotencyKey.key]),
    charsOf: ({ execution, begin: { flushes = [] } }) =>
      flushes.reduce((chars, { runs }) => chars + outputChars(runs), execution.payload.length),
  });
  return (execution, begin = {}) =>
    (begin.flushes?.length ?? 0) > 1
      ? beginSeeded(callsDb, insert, { execution, begin })
      : batcher.call({ execution, begin });
}

/** The statements of `beginIn`, of which each store has its own. */
export function insertStatements(): InsertStatements {
  return {
    plain: new CompiledStatement((input: StatementInput<InsertInput>) => insertStatement(input, { hasKeys: false })),
    keyed: new CompiledStatement((input: StatementInput<InsertInput>) => insertStatement(input, { hasKeys: true })),
  };
}

/** Accepts one execution in a transaction of its caller. */
export async function beginIn(db: Transaction<Tables>, insert: InsertStatements, beginning: Beginning): Promise<Begun> {
  const [begun] = await beginExecutions(db, insert, [beginning]);
  return begun;
}

/**
 * Of calls that race with one key the first to insert its row wins. The others wait there for its commit, insert no row,
 * and so insert no execution either.
 */
async function beginExecutions(
  db: Kysely<Tables>,
  insert: InsertStatements,
  all: readonly Beginning[],
): Promise<readonly Begun[]> {
  const settled = new Map<string, Begun>();
  let left = all;
  while (left.length > 0) {
    for (const [id, begun] of await insertAll(db, insert, left)) {
      settled.set(id, begun);
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
async function beginSeeded(
  db: Kysely<Tables>,
  insert: InsertStatements,
  { execution, begin }: Beginning,
): Promise<Begun> {
  const [first, ...rest] = begin.flushes ?? [];
  return await db.transaction().execute(async (transaction) => {
    const flushes = first === undefined ? [] : [first];
    const [begun] = await beginExecutions(transaction, insert, [{ execution, begin: { ...begin, flushes } }]);
    for (const flush of begun === undefined ? rest : []) {
      const [row] = toSeedRows({ execution, begin: { flushes: [flush] } });
      if (row !== undefined) {
        await transaction
          .insertInto("journal")
          .values({ ...row, epoch: 1 })
          .execute();
      }
    }
    return begun;
  });
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
  read_set: "int",
} as const;

const seedTypes = {
  execution_id: "text",
  environment_id: "text",
  flush_index: "int",
  entries: "text",
  heads: "text",
} as const;

type InsertedRow = { readonly execution_id: string; readonly is_changed: boolean };

type InsertInput = {
  readonly rows: readonly InputRow<typeof beginningTypes>[];
  readonly seeds: readonly InputRow<typeof seedTypes>[];
  readonly reads: ReadSets;
};

/** A statement with keys looks for the executions that they stand for, which may be of any day: others do without that. */
type InsertStatements = Record<"plain" | "keyed", CompiledStatement<InsertInput, InsertedRow>>;

/** Answers the executions that were accepted, and those whose read set has changed. */
function insertStatement(
  input: StatementInput<InsertInput>,
  { hasKeys }: { readonly hasKeys: boolean },
): RawBuilder<InsertedRow> {
  return sql<InsertedRow>`
    with ${changedReads(input, ({ reads }) => reads.all)},
    given as materialized (
      select *, ${isChanged} as is_changed from ${input.rows("given", beginningTypes, ({ rows }) => rows)}
    ),
    input as materialized (select * from given where not is_changed),
    ${hasKeys ? boundKeys(input) : sql``}
    accepted as (
      insert into execution (${columnList(acceptedTypes)})
      select ${columnList(acceptedTypes)} from input
        ${hasKeys ? sql`where key is null or exists (select from bound where bound.execution_id = input.id)` : sql``}
      on conflict (id) do nothing returning id
    ),
    seeded as (
      insert into journal (execution_id, environment_id, flush_index, epoch, entries, heads)
      select seed.execution_id, seed.environment_id, seed.flush_index, 1, seed.entries, seed.heads
        from ${input.rows("seed", seedTypes, ({ seeds }) => seeds)}
        where exists (select from accepted where accepted.id = seed.execution_id)
    ),
    claimed as (
      insert into execution_claim
        (execution_id, environment_id, linked_account_id, owner, epoch, run_since, seal_key, sealed_by)
      select id, environment_id, linked_account_id, owner, epoch, case when owner is not null then now() end, seal_key,
             sealed_by
        from input where exists (select from accepted where accepted.id = input.id)
      returning execution_id
    )
    select execution_id, false as is_changed from claimed union all select id, true from given where is_changed`;
}

function boundKeys(input: StatementInput<InsertInput>): RawBuilder<unknown> {
  const now = cautiousNow(input.value(() => new Date()));
  return sql`bound as (
      insert into idempotency_key (environment_id, linked_account_id, key, fingerprint, execution_id)
      select environment_id, linked_account_id, key, fingerprint, id from input where key is not null
        -- In the order of their keys, so that two statements cannot deadlock.
        order by environment_id, linked_account_id, key
      on conflict (environment_id, linked_account_id, key)
        do update set fingerprint = excluded.fingerprint, execution_id = excluded.execution_id
        where ${isOver("idempotency_key", now)}
      returning execution_id
    ),`;
}

/** Answers what is certain: which executions were accepted, and which have a read set that has changed. */
async function insertAll(
  db: Kysely<Tables>,
  insert: InsertStatements,
  all: readonly Beginning[],
): Promise<ReadonlyMap<string, Begun>> {
  const reads = new ReadSets();
  const rows = all.map((beginning) => toBeginningRow(beginning, reads.add(beginning.begin.readSet)));
  const hasKeys = rows.some(({ key }) => key !== null);
  const inserted = await insert[hasKeys ? "keyed" : "plain"].execute(db, {
    rows,
    reads,
    seeds: all.flatMap(toSeedRows),
  });
  const found = new Set(inserted.filter(({ is_changed }) => is_changed).map(({ execution_id }) => execution_id));
  const calls = all.map(({ execution, begin: { readSet } }) => ({ execution, readSet }));
  const changed = await listChanged(db, calls, found);
  return new Map(inserted.map(({ execution_id: id }) => [id, changed.has(id) ? "changed" : undefined]));
}

function toBeginningRow({ execution, begin }: Beginning, readSet: number | null) {
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
    read_set: readSet,
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
