import { type Kysely, sql } from "kysely";
import type { Outcome } from "../../domain/execution.ts";
import type { Tables } from "../postgres/tables.ts";
import { toAnswer, toEndRow } from "./execution-rows.ts";

/** Where an account is named, an execution of another account is not found. */
export type Stop = {
  readonly environmentId: string;
  readonly executionId: string;
  readonly linkedAccountId?: string;
  readonly outcome: Outcome;
};

/**
 * Ends an execution, queued or running, whoever owns it. The end has a new epoch, so that the owner's later writes change
 * nothing. Answers how it ended, with the response that was committed before; undefined where it has ended already or is
 * not found.
 */
export async function stopExecution(db: Kysely<Tables>, stop: Stop): Promise<Outcome | undefined> {
  const { environmentId, executionId, linkedAccountId, outcome } = stop;
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
            .where("execution.environment_id", "=", environmentId);
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
    .returning(["execution.response", "execution.status_code"])
    .executeTakeFirst();
  return row && { ...toAnswer({ ...row, error: null }), ...outcome };
}
