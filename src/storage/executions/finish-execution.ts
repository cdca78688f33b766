import { type Kysely, type RawBuilder, sql, type Transaction } from "kysely";
import { type Tenant, turnOf, turnOfTenant } from "../../domain/account.ts";
import type { NewExecution, NodeRun, Outcome } from "../../domain/execution.ts";
import { CompiledStatement, type StatementInput } from "../postgres/compiled-statement.ts";
import { columnList, type InputRow, inputRows } from "../postgres/input-rows.ts";
import { type BatchLimits, StatementBatcher } from "../postgres/statement-batcher.ts";
import type { Tables } from "../postgres/tables.ts";
import { changedReads, isChanged, type ReadSet, ReadSets } from "../tenants/read-set.ts";
import { endedColumns, outbox } from "../webhooks/outbox.ts";
import type { WatchedEnvironments } from "../webhooks/watched-environments.ts";
import { listChanged } from "./changed-calls.ts";
import { type Claim, claimTypes, inLockOrder, toClaimRow } from "./execution-claim.ts";
import { outcomeTypes, startTypes, toOutcomeRow, toStartRow } from "./execution-rows.ts";
import { type Flush, outputChars, toFlushRow } from "./flush.ts";

/** The end of an execution, by its owner, with the last flush of its journal. */
export type Finishing = Tenant & Claim & { readonly outcome: Outcome; readonly flush?: Flush };

/** False: another process has claimed the execution or ended it, and nothing was written. */
export type FinishExecution = (finishing: Finishing) => Promise<boolean>;

/** Knows where somebody may have to be told of an end. */
export type Watched = Pick<WatchedEnvironments, "mayHaveEndpoint">;

/** A statement that ends executions: as it is where nobody is to be told of it, and with the outbox. */
type EndingStatements<Input> = Record<"plain" | "watched", CompiledStatement<Input, { readonly id: string }>>;

function endingStatements<Input>(
  build: (input: StatementInput<Input>, isWatched: boolean) => RawBuilder<{ readonly id: string }>,
): EndingStatements<Input> {
  return {
    plain: new CompiledStatement((input: StatementInput<Input>) => build(input, false)),
    watched: new CompiledStatement((input: StatementInput<Input>) => build(input, true)),
  };
}

/** Ends executions for good. A response that was committed before stays. */
export function finishExecution(db: Kysely<Tables>, limits: BatchLimits, watched: Watched): FinishExecution {
  const statements = endingStatements(finishStatement);
  const batcher = new StatementBatcher<Finishing, boolean>({
    name: "finish",
    limits,
    send: (all) => {
      const isWatched = watched.mayHaveEndpoint(all.map(({ environmentId }) => environmentId));
      return finishAll(db, statements[isWatched ? "watched" : "plain"], all);
    },
    turnOf: turnOfTenant,
    charsOf: ({ flush, outcome }) => outputChars(flush?.runs ?? []) + (outcome.response ?? "").length,
  });
  return (finishing) => batcher.call(finishing);
}

/** An execution that ran to its end before any row of it was committed. */
type FinishedRun = {
  readonly execution: NewExecution;
  readonly outcome: Outcome;
  readonly runs: readonly NodeRun[];
  /** The cached resolution that the call relied on; absent where it was read for this call. */
  readonly readSet?: ReadSet | undefined;
};

/** False: what the call was resolved by has changed, and nothing was written. */
export type RecordFinished = (
  execution: NewExecution,
  outcome: Outcome,
  runs: readonly NodeRun[],
  readSet?: ReadSet,
) => Promise<boolean>;

/** Writes executions that ran in memory alone. */
export function recordFinishedExecution(db: Kysely<Tables>, limits: BatchLimits, watched: Watched): RecordFinished {
  const statements = endingStatements(recordStatement);
  const batcher = new StatementBatcher<FinishedRun, boolean>({
    name: "record_finished",
    limits,
    send: (all) => {
      const isWatched = watched.mayHaveEndpoint(all.map(({ execution }) => execution.environmentId));
      return recordAllFinished(db, statements[isWatched ? "watched" : "plain"], all);
    },
    turnOf: ({ execution }) => turnOf(execution),
    charsOf: ({ execution, outcome, runs }) =>
      execution.payload.length + outputChars(runs) + (outcome.response ?? "").length,
  });
  return (execution, outcome, runs, readSet) => batcher.call({ execution, outcome, runs, readSet });
}

const finishingTypes = { ...claimTypes, ...outcomeTypes, flush_index: "int", entries: "text", heads: "text" } as const;

type FinishingRow = InputRow<typeof finishingTypes>;

/** Answers the executions that it has ended. The rows are sorted by id: the first and the last bound the partitions. */
function finishStatement(
  input: StatementInput<readonly FinishingRow[]>,
  isWatched: boolean,
): RawBuilder<{ readonly id: string }> {
  const end = sql`
    -- A response that is there stays: its caller may have read it.
    update execution set state = released.state, response = coalesce(execution.response, released.response),
        status_code = case when execution.response is null then released.status_code else execution.status_code end,
        error = released.error, finished_epoch = released.epoch, end_time = now()
      from released
      where execution.id = released.execution_id and execution.environment_id = released.environment_id
        and execution.id >= ${input.value((rows) => rows.at(0)?.execution_id ?? "")}
        and execution.id <= ${input.value((rows) => rows.at(-1)?.execution_id ?? "")}
        and execution.state is null
      returning ${isWatched ? endedColumns : sql`execution.id`}`;
  return sql<{ id: string }>`
    with released as (
      delete from execution_claim as claim using ${input.rows("input", finishingTypes, (rows) => rows)}
        where claim.execution_id = input.execution_id and claim.environment_id = input.environment_id
          and claim.owner = input.owner and claim.epoch = input.epoch
        returning input.*
    ),
    flushed as (
      insert into journal (execution_id, environment_id, flush_index, epoch, entries, heads)
      select execution_id, environment_id, flush_index, epoch, entries, heads from released where entries is not null
      on conflict (execution_id, flush_index) do nothing
    )${isWatched ? sql`, ended as (${end}), ${outbox} select id from ended` : end}`;
}

async function finishAll(
  db: Kysely<Tables>,
  statement: CompiledStatement<readonly FinishingRow[], { readonly id: string }>,
  all: readonly Finishing[],
): Promise<readonly boolean[]> {
  const input = all.map(toFinishingRow);
  const finished = new Set((await statement.execute(db, inLockOrder(input))).map(({ id }) => id));
  const left = all.filter(({ executionId }) => !finished.has(executionId));
  for (const id of left.length === 0 ? [] : await listFinished(db, left)) {
    finished.add(id);
  }
  return all.map(({ executionId }) => finished.has(executionId));
}

function toFinishingRow(finishing: Finishing) {
  return {
    ...toClaimRow(finishing),
    ...toOutcomeRow(finishing.outcome),
    flush_index: finishing.flush?.index ?? null,
    ...(finishing.flush === undefined ? noFlush : toFlushRow(finishing.flush.runs)),
  };
}

/** Ends one execution in a transaction of its caller. False: as `FinishExecution` answers it. */
export async function finishOne(db: Transaction<Tables>, finishing: Finishing): Promise<boolean> {
  const [isFinished = false] = await finishAll(db, endingStatements(finishStatement).watched, [finishing]);
  return isFinished;
}

/** Finds ends that an earlier try committed, whose answer was lost: a repeated finish is idempotent. */
async function listFinished(db: Kysely<Tables>, left: readonly Claim[]): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    select execution.id from ${inputRows("input", claimTypes, left.map(toClaimRow))} join execution
      on execution.id = input.execution_id and execution.environment_id = input.environment_id
        and execution.finished_epoch = input.epoch`.execute(db);
  return rows.map(({ id }) => id);
}

const endColumns = { ...startTypes, ...outcomeTypes } as const;

const finishedTypes = { ...endColumns, entries: "text", heads: "text", read_set: "int" } as const;

const noFlush = { entries: null, heads: null };

type FinishedRows = { readonly rows: readonly InputRow<typeof finishedTypes>[]; readonly reads: ReadSets };

/** Answers the executions whose read set has changed. */
function recordStatement(input: StatementInput<FinishedRows>, isWatched: boolean): RawBuilder<{ readonly id: string }> {
  return sql<{ id: string }>`
    with ${changedReads(input, ({ reads }) => reads.all)},
    given as materialized (
      select *, ${isChanged} as is_changed from ${input.rows("given", finishedTypes, ({ rows }) => rows)}
    ),
    input as materialized (select * from given where not is_changed),
    ${isWatched ? sql`ended` : sql`finished`} as (
      insert into execution (${columnList(endColumns)}, end_time)
      select ${columnList(endColumns)}, now() from input on conflict (id) do nothing
      ${isWatched ? sql`returning ${endedColumns}` : sql``}
    ),
    ${isWatched ? sql`${outbox},` : sql``}
    -- A conflict: an earlier try, whose answer was lost, has written both.
    flushed as (
      insert into journal (execution_id, environment_id, flush_index, epoch, entries, heads)
      select id, environment_id, 0, 0, entries, heads from input where entries is not null
      on conflict (execution_id, flush_index) do nothing
    )
    select id from given where is_changed`;
}

async function recordAllFinished(
  db: Kysely<Tables>,
  statement: CompiledStatement<FinishedRows, { readonly id: string }>,
  all: readonly FinishedRun[],
): Promise<readonly boolean[]> {
  const reads = new ReadSets();
  const rows = all.map(({ execution, outcome, runs, readSet }) => ({
    ...toStartRow(execution),
    ...toOutcomeRow(outcome),
    ...(runs.length === 0 ? noFlush : toFlushRow(runs)),
    read_set: reads.add(readSet),
  }));
  const found = new Set((await statement.execute(db, { rows, reads })).map(({ id }) => id));
  const changed = await listChanged(
    db,
    all.map(({ execution, readSet }) => ({ execution, readSet })),
    found,
  );
  return all.map(({ execution }) => !changed.has(execution.id));
}
