import { type Kysely, sql } from "kysely";
import { type Tenant, turnOf, turnOfTenant } from "../../domain/account.ts";
import type { NewExecution, NodeRun, Outcome } from "../../domain/execution.ts";
import { columnList, inputRows } from "../postgres/input-rows.ts";
import { type BatchLimits, StatementBatcher } from "../postgres/statement-batcher.ts";
import type { Tables } from "../postgres/tables.ts";
import { type Claim, claimTypes, inLockOrder, toClaimRow } from "./execution-claim.ts";
import { outcomeTypes, startTypes, toOutcomeRow, toStartRow } from "./execution-rows.ts";
import { type Flush, outputChars, toFlushRow } from "./flush.ts";

/** The end of an execution, by its owner, with the last flush of its journal. */
export type Finishing = Tenant & Claim & { readonly outcome: Outcome; readonly flush?: Flush };

/** False: another process has claimed the execution or ended it, and nothing was written. */
export type FinishExecution = (finishing: Finishing) => Promise<boolean>;

/** Ends executions for good. A response that was committed before stays. */
export function finishExecution(db: Kysely<Tables>, limits: BatchLimits): FinishExecution {
  const batcher = new StatementBatcher<Finishing, boolean>({
    limits,
    send: (all) => finishAll(db, all),
    turnOf: turnOfTenant,
    charsOf: ({ flush, outcome }) => outputChars(flush?.runs ?? []) + (outcome.response ?? "").length,
  });
  return (finishing) => batcher.call(finishing);
}

export type RecordFinished = (execution: NewExecution, outcome: Outcome, runs: readonly NodeRun[]) => Promise<void>;

/** Writes executions that ran to their end before any row of them was committed. */
export function recordFinishedExecution(db: Kysely<Tables>, limits: BatchLimits): RecordFinished {
  const batcher = new StatementBatcher<FinishedRun, undefined>({
    limits,
    send: (all) => recordAllFinished(db, all),
    turnOf: ({ execution }) => turnOf(execution),
    charsOf: ({ execution, outcome, runs }) =>
      execution.payload.length + outputChars(runs) + (outcome.response ?? "").length,
  });
  return (execution, outcome, runs) => batcher.call({ execution, outcome, runs });
}

type FinishedRun = {
  readonly execution: NewExecution;
  readonly outcome: Outcome;
  readonly runs: readonly NodeRun[];
};

const finishingTypes = { ...claimTypes, ...outcomeTypes, flush_index: "int", entries: "text", heads: "text" } as const;

async function finishAll(db: Kysely<Tables>, all: readonly Finishing[]): Promise<readonly boolean[]> {
  const input = all.map((finishing) => ({
    ...toClaimRow(finishing),
    ...toOutcomeRow(finishing.outcome),
    flush_index: finishing.flush?.index ?? null,
    ...(finishing.flush === undefined ? noFlush : toFlushRow(finishing.flush.runs)),
  }));
  const { rows } = await sql<{ id: string }>`
    with released as (
      delete from execution_claim as claim using ${inputRows("input", finishingTypes, inLockOrder(input))}
        where claim.execution_id = input.execution_id and claim.environment_id = input.environment_id
          and claim.owner = input.owner and claim.epoch = input.epoch
        returning input.*
    ),
    flushed as (
      insert into journal (execution_id, environment_id, flush_index, epoch, entries, heads)
      select execution_id, environment_id, flush_index, epoch, entries, heads from released where entries is not null
      on conflict (execution_id, flush_index) do nothing
    )
    -- A response that is there stays: its caller may have read it.
    update execution set state = released.state, response = coalesce(execution.response, released.response),
        status_code = case when execution.response is null then released.status_code else execution.status_code end,
        error = released.error, finished_epoch = released.epoch, end_time = now()
      from released
      where execution.id = released.execution_id and execution.environment_id = released.environment_id
        and execution.state is null
      returning execution.id`.execute(db);
  const finished = new Set(rows.map(({ id }) => id));
  const left = all.filter(({ executionId }) => !finished.has(executionId));
  for (const id of left.length === 0 ? [] : await listFinished(db, left)) {
    finished.add(id);
  }
  return all.map(({ executionId }) => finished.has(executionId));
}

/** Finds ends that an earlier try committed, whose answer was lost: a repeated finish is idempotent. */
async function listFinished(db: Kysely<Tables>, left: readonly Claim[]): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    select execution.id from ${inputRows("input", claimTypes, left.map(toClaimRow))} join execution
      on execution.id = input.execution_id and execution.environment_id = input.environment_id
        and execution.finished_epoch = input.epoch`.execute(db);
  return rows.map(({ id }) => id);
}

const finishedTypes = { ...startTypes, ...outcomeTypes, entries: "text", heads: "text" } as const;

const noFlush = { entries: null, heads: null };

const endColumns = { ...startTypes, ...outcomeTypes } as const;

async function recordAllFinished(db: Kysely<Tables>, all: readonly FinishedRun[]): Promise<readonly undefined[]> {
  const input = all.map(({ execution, outcome, runs }) => ({
    ...toStartRow(execution),
    ...toOutcomeRow(outcome),
    ...(runs.length === 0 ? noFlush : toFlushRow(runs)),
  }));
  await sql`
    with input as materialized (select * from ${inputRows("input", finishedTypes, input)}),
    finished as (
      insert into execution (${columnList(endColumns)}, end_time)
      select ${columnList(endColumns)}, now() from input on conflict (id) do nothing
    )
    -- A conflict: an earlier try, whose answer was lost, has written both.
    insert into journal (execution_id, environment_id, flush_index, epoch, entries, heads)
    select id, environment_id, 0, 0, entries, heads from input where entries is not null
    on conflict (execution_id, flush_index) do nothing`.execute(db);
  return all.map(() => undefined);
}
