import { type Kysely, sql } from "kysely";
import type { Account } from "../domain/account.ts";
import type { ExecutionError, ExecutionState, Outcome, TerminalState } from "../domain/execution.ts";
import type { JsonText } from "../domain/json-text.ts";
import { isReached, type Reach } from "../domain/principal.ts";
import { claimState, toAnswer } from "./execution-rows.ts";
import { byInputRow, inputRows } from "./input-rows.ts";
import type { Tables } from "./tables.ts";

/** How an execution stands, and what it answered. */
export type ExecutionRecord = {
  readonly state: ExecutionState;
  readonly response?: JsonText;
  readonly statusCode?: number;
  readonly error?: ExecutionError;
};

/** An execution of an account, by its id. */
export type ResultQuery = Reach & Account & { readonly executionId: string };

const queryTypes = { environment_id: "text", linked_account_id: "text", id: "text" } as const;

type ResultRow = {
  readonly row: number;
  readonly workflow_id: string;
  readonly state: TerminalState | null;
  readonly response: JsonText | null;
  readonly status_code: number | null;
  readonly error: string | null;
  readonly claim_state: "QUEUED" | "RUNNING" | "WAITING";
};

/** How executions stand: see ExecutionStore.getResult. */
export async function getResults(
  db: Kysely<Tables>,
  queries: readonly ResultQuery[],
): Promise<readonly (ExecutionRecord | undefined)[]> {
  const input = queries.map(({ environmentId, linkedAccountId, executionId }) => ({
    environment_id: environmentId,
    linked_account_id: linkedAccountId,
    id: executionId.toLowerCase(),
  }));
  const { rows } = await sql<ResultRow>`
    select input.row, execution.workflow_id, execution.state, execution.response, execution.status_code, execution.error, ${claimState}
      from ${inputRows("input", queryTypes, input)} join execution using (id, environment_id, linked_account_id)
    `.execute(db);
  const found = byInputRow(queries, rows);
  return queries.map((query, index) => {
    const [row] = found[index] ?? [];
    const { linkedAccountId } = query;
    if (row === undefined || !isReached(query, { workflowId: row.workflow_id, linkedAccountId })) return undefined;
    return { state: row.state ?? row.claim_state, ...toAnswer(row) };
  });
}

/** How those among some executions stand that have ended: see ExecutionStore.listEnded. */
export async function listEnded(db: Kysely<Tables>, ids: readonly string[]): Promise<ReadonlyMap<string, Outcome>> {
  const rows = await db
    .selectFrom("execution")
    .select(["id", "state", "response", "status_code", "error"])
    .where("id", "=", sql<string>`any(${ids}::text[])`)
    .where("state", "is not", null)
    .execute();
  return new Map(rows.flatMap(({ id, state, ...row }) => (state === null ? [] : [[id, { state, ...toAnswer(row) }]])));
}
