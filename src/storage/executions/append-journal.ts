import { type Kysely, sql } from "kysely";
import type { Tenant } from "../../domain/account.ts";
import type { Answer, NodeRun } from "../../domain/execution.ts";
import { inputRows } from "../postgres/input-rows.ts";
import type { Tables } from "../postgres/tables.ts";
import { type Claim, claimTypes, inLockOrder, toClaimRow } from "./claim-row.ts";
import { answerTypes, toAnswerRow } from "./execution-rows.ts";
import { type FlushRow, toFlushRow } from "./flush-rows.ts";

/** One flush of an execution's journal. */
export type Appending = Tenant &
  Claim & {
    readonly flushIndex: number;
    readonly runs: readonly NodeRun[];
    /** The response, where the record of the node that set it is among these. */
    readonly answer?: Answer | undefined;
  };

const appendingTypes = { ...claimTypes, flush_index: "int", entries: "text", heads: "text" } as const;

const answeringTypes = { ...appendingTypes, ...answerTypes } as const;

/** Adds to journals: see ExecutionStore.append. */
export async function appendAll(db: Kysely<Tables>, all: readonly Appending[]): Promise<readonly boolean[]> {
  const input = all.map((appending) => ({
    ...toClaimRow(appending),
    flush_index: appending.flushIndex,
    ...toFlushRow(appending.runs),
    ...toAnswerRow(appending.answer),
  }));
  const hasAnswer = input.some(({ response }) => response !== null);
  const { rows } = await sql<Place>`
    with held as (
      select input.* from ${inputRows("input", hasAnswer ? answeringTypes : appendingTypes, inLockOrder(input))}
        join execution_claim as claim using (execution_id, environment_id, owner, epoch)
      -- Whoever takes a claim over waits for this commit, or this statement for theirs.
      for no key update of claim
    ),
    written as (
      insert into journal (execution_id, environment_id, flush_index, epoch, entries, heads)
      select execution_id, environment_id, flush_index, epoch, entries, heads from held
      on conflict (execution_id, flush_index) do nothing
      returning execution_id, flush_index
    )
    ${hasAnswer ? answered : sql``}
    select execution_id, flush_index from written`.execute(db);
  const written = new Set(rows.map(nameOf));
  const left = input.filter((row) => !written.has(nameOf(row)));
  for (const place of left.length === 0 ? [] : await listWritten(db, left)) written.add(nameOf(place));
  return input.map((row) => written.has(nameOf(row)));
}

/** A response is committed with the record of its node or not at all, and by the first such commit for good. */
const answered = sql`, answered as (
  update execution set response = held.response, status_code = held.status_code
    from held join written using (execution_id, flush_index)
    where held.response is not null and execution.id = held.execution_id
      and execution.environment_id = held.environment_id
      and execution.response is null and execution.state is null
)`;

type Place = { readonly execution_id: string; readonly flush_index: number };

function nameOf({ execution_id, flush_index }: Place): string {
  return `${execution_id}/${flush_index}`;
}

/** Of those that moved no row the ones that are there: committed by an earlier try whose answer was lost. */
async function listWritten(
  db: Kysely<Tables>,
  left: readonly (ReturnType<typeof toClaimRow> & FlushRow & { readonly flush_index: number })[],
): Promise<readonly Place[]> {
  const { rows } = await sql<Place>`
    select execution_id, flush_index from ${inputRows("input", appendingTypes, left)}
      join journal using (execution_id, environment_id, flush_index, epoch)`.execute(db);
  return rows;
}
