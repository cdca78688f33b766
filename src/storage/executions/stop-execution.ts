import { type Kysely, sql, type Transaction } from "kysely";
import type { ExecutionDetail, Outcome } from "../../domain/execution.ts";
import { isId } from "../../domain/id.ts";
import type { AccessScope } from "../../domain/principal.ts";
import { isWithin } from "../postgres/access-scope.ts";
import type { Tables } from "../postgres/tables.ts";
import { outboxInsert } from "../webhooks/outbox.ts";
import { endFamily, type FamilyEnd } from "./end-family.ts";
import { ownColumns, summaryColumns, toDetail, toEndRow, workflowSlug } from "./execution-rows.ts";

/** An end that comes from outside. Where an account is named, an execution of another account is not found. */
export type Stop = AccessScope & {
  readonly executionId: string;
  readonly linkedAccountId?: string;
  readonly outcome: Outcome;
};

/** The execution as it stands, and what its end is for those that it belongs to. */
export type Stopped = ExecutionDetail & FamilyEnd;

/**
 * Ends an execution, queued or running, whoever owns it. The end has a new epoch, so that the owner's later writes change
 * nothing, and what it waits for ends with it. Returns how it stands then, with the response that was committed before;
 * undefined where it has ended already or is not found.
 */
export async function stopExecution(db: Kysely<Tables>, stop: Stop): Promise<Stopped | undefined> {
  const executionId = stop.executionId.toLowerCase();
  if (!isId(executionId)) {
    return undefined;
  }
  const { environmentId } = stop;
  const ended = await endFamily(db, { environmentId, executionId }, (own) => stopOne(own, { ...stop, executionId }));
  return ended && { ...ended.end, stopped: ended.stopped, parentId: ended.parentId };
}

async function stopOne(
  db: Transaction<Tables>,
  { outcome, executionId, ...stop }: Stop,
): Promise<ExecutionDetail | undefined> {
  const { environmentId, linkedAccountId } = stop;
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
    .with("ended", (query) =>
      query
        .updateTable("execution")
        .from("released")
        .set({ ...toEndRow(outcome), finished_epoch: sql`released.epoch + 1`, end_time: sql`now()` })
        .where("execution.id", "=", executionId)
        .where("execution.environment_id", "=", environmentId)
        .where("execution.state", "is", null)
        .whereRef("execution.id", "=", "released.execution_id")
        .returningAll("execution"),
    )
    .with("outbox", () => outboxInsert)
    .selectFrom("ended as execution")
    .select([...summaryColumns, "execution.error", "execution.payload", "execution.response", workflowSlug])
    .executeTakeFirst();
  // The row has its end's state, so that a claim's state is not looked at.
  return row && toDetail({ ...row, claim_state: "RUNNING" });
}
