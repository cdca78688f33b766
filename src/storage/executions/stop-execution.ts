import { type Kysely, sql } from "kysely";
import type { ExecutionDetail, Outcome } from "../../domain/execution.ts";
import { isId } from "../../domain/id.ts";
import type { AccessScope } from "../../domain/principal.ts";
import { isWithin } from "../postgres/access-scope.ts";
import type { Tables } from "../postgres/tables.ts";
import { ownColumns, summaryColumns, toDetail, toEndRow, workflowSlug } from "./execution-rows.ts";

/** An end that comes from outside. Where an account is named, an execution of another account is not found. */
export type Stop = AccessScope & {
  readonly executionId: string;
  readonly linkedAccountId?: string;
  readonly outcome: Outcome;
};

/**
 * Ends an execution, queued or running, whoever owns it. The end has a new epoch, so that the owner's later writes change
 * nothing. Returns how it stands then, with the response that was committed before; undefined where it has ended already or
 * is not found.
 */
export async function stopExecution(
  db: Kysely<Tables>,
  { outcome, ...stop }: Stop,
): Promise<ExecutionDetail | undefined> {
  const { environmentId, linkedAccountId } = stop;
  const executionId = stop.executionId.toLowerCase();
  if (!isId(executionId)) {
    return undefined;
  }
  const row = await db
    // An owner that writes holds this row, or finds it gone: of a stop and an end only one commits.
    .with("released", (query) =>
      query
        .deleteFrom("execution_claim")
        .where("execution_id", "=", executionId)
        .where("environment_id", "=", environmentId)
        .where(({ exists, selectFrom }) => {
          const execution = selectFrom("execution")
            .select("execution.id")
            .where("execution.id", "=", executionId)
            .where("execution.environment_id", "=", environmentId)
            .where(isWithin(stop, ownColumns));
          return exists(
            linkedAccountId === undefined
              ? execution
              : execution.where("execution.linked_account_id", "=", linkedAccountId),
          );
        })
        .returning(["execution_id", "environment_id", "epoch"]),
    )
    .updateTable("execution")
    .from("released")
    .set({ ...toEndRow(outcome), finished_epoch: sql`released.epoch + 1`, end_time: sql`now()` })
    .where("execution.id", "=", executionId)
    .where("execution.environment_id", "=", environmentId)
    .where("execution.state", "is", null)
    .whereRef("execution.id", "=", "released.execution_id")
    .returning([...summaryColumns, "execution.error", "execution.payload", "execution.response", workflowSlug])
    .executeTakeFirst();
  // The row has its end's state, so that a claim's state is not looked at.
  return row && toDetail({ ...row, claim_state: "RUNNING" });
}
