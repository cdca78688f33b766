import { type Kysely, type RawBuilder, sql } from "kysely";
import { type Tenant, turnOfTenant } from "../../domain/account.ts";
import type { Answer, NodeRun } from "../../domain/execution.ts";
import { boundsOf, inputRows } from "../postgres/input-rows.ts";
import { type BatchLimits, StatementBatcher } from "../postgres/statement-batcher.ts";
import type { Tables } from "../postgres/tables.ts";
import { type Claim, claimTypes, inLockOrder, toClaimRow } from "./execution-claim.ts";
import { answerTypes, toAnswerRow } from "./execution-rows.ts";
import { type FlushRow, outputChars, toFlushRow } from "./flush.ts";

/** The next flush of an execution's journal, and the claim of its owner. */
export type Appending = Tenant &
  Claim & {
    readonly flushIndex: number;
    readonly runs: readonly NodeRun[];
    /** The response, where the record of the node that set it is among these. */
    readonly answer?: Answer | undefined;
  };

/** False: another process has claimed the execution, and nothing was written. */
export type AppendJournal = (appending: Appending) => Promise<boolean>;

/** Adds flushes to journals, and sets the response of an execution together with the record of the node that set it. */
export function appendJournal(db: Kysely<Tables>, limits: BatchLimits): AppendJournal {
  const batcher = new StatementBatcher<Appending, boolean>({
    name: "append",
    limits,
    send: (all) => appendAll(db, all),
    turnOf: turnOfTenant,
    charsOf: ({ runs, answer }) => outputChars(runs) + (answer?.response ?? "").length,
  });
  return (appending) => batcher.call(appending);
}

const appendingTypes = { ...claimTypes, flush_index: "int", entries: "text", heads: "text" } as const;

const answeringTypes = { ...appendingTypes, ...answerTypes } as const;

async function appendAll(db: Kysely<Tables>, all: readonly Appending[]): Promise<readonly boolean[]> {
  const input = all.map((appending) => ({
    ...toClaimRow(appending),
    flush_index: appending.flushIndex,
    ...toFlushRow(appending.runs),
    ...toAnswerRow(appending.answer),
  }));
  const hasAnswer = input.some(({ response }) => response !== null);
  const { rows } = await sql<FlushKey>`
    with held as (
      select input.* from ${inputRows("input", hasAnswer ? answeringTypes : appendingTypes, inLockOrder(input))}
        join execution_claim as claim using (execution_id, environment_id, owner, epoch)
      -- A process that claims the execution at this moment waits for this commit, or this statement waits for its commit.
      for no key update of claim
    ),
    written as (
      insert into journal (execution_id, environment_id, flush_index, epoch, entries, heads)
      select execution_id, environment_id, flush_index, epoch, entries, heads from held
      on conflict (execution_id, flush_index) do nothing
      returning execution_id, flush_index
    )
    ${hasAnswer ? answered(input) : sql``}
    select execution_id, flush_index from written`.execute(db);
  const written = new Set(rows.map(keyOf));
  const left = input.filter((row) => !written.has(keyOf(row)));
  for (const flush of left.length === 0 ? [] : await listWritten(db, left)) {
    written.add(keyOf(flush));
  }
  return input.map((row) => written.has(keyOf(row)));
}

/** The response commits together with the record of its node, and the first response stays. */
function answered(input: readonly { readonly execution_id: string }[]): RawBuilder<unknown> {
  const { first, last } = boundsOf(input.map(({ execution_id }) => execution_id));
  return sql`, answered as (
  update execution set response = held.response, status_code = held.status_code
    from held join written using (execution_id, flush_index)
    where held.response is not null and execution.id = held.execution_id
      and execution.environment_id = held.environment_id
      and execution.id >= ${first} and execution.id <= ${last}
      and execution.response is null and execution.state is null
)`;
}

type FlushKey = { readonly execution_id: string; readonly flush_index: number };

function keyOf({ execution_id, flush_index }: FlushKey): string {
  return `${execution_id}/${flush_index}`;
}

/** Finds flushes that an earlier try committed, whose answer was lost: a repeated append is idempotent. */
async function listWritten(
  db: Kysely<Tables>,
  left: readonly (ReturnType<typeof toClaimRow> & FlushRow & { readonly flush_index: number })[],
): Promise<readonly FlushKey[]> {
  const { rows } = await sql<FlushKey>`
    select execution_id, flush_index from ${inputRows("input", appendingTypes, left)}
      join journal using (execution_id, environment_id, flush_index, epoch)`.execute(db);
  return rows;
}
