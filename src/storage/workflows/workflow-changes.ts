import { type Kysely, sql, type Transaction } from "kysely";
import type { Actor, AuditAction } from "../../domain/audit.ts";
import { newId } from "../../domain/id.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { WorkflowRecord } from "../../domain/workflow.ts";
import { anyOf } from "../postgres/any-of.ts";
import { brokenConstraint } from "../postgres/database-errors.ts";
import type { Tables } from "../postgres/tables.ts";
import { integrationNotFound } from "../tenants/integration-store.ts";
import { recordChange } from "../tenants/record-change.ts";
import { changed, type Expected, recordColumns, toWorkflowRecord } from "./workflow-rows.ts";

type WorkflowChange<Moved> = {
  readonly action: AuditAction;
  readonly workflowId: string;
  /** Answers undefined where nothing moved. */
  readonly change: (transaction: Transaction<Tables>) => Promise<Moved>;
};

/** Makes a change and keeps who made it, where it moved anything: both are committed or neither. */
export async function changeWorkflow<Moved>(
  db: Kysely<Tables>,
  actor: Actor,
  { action, workflowId, change }: WorkflowChange<Moved>,
): Promise<Moved> {
  return await db.transaction().execute(async (transaction) => {
    const moved = await change(transaction);
    // By its id, since its alias may change.
    if (moved !== undefined) await recordChange(transaction, actor, { action, resource: `workflow/${workflowId}` });
    return moved;
  });
}

export type NewWorkflow = {
  readonly slug: string;
  readonly name: string;
  readonly description?: string;
  readonly alias?: string;
};

/** Creates a workflow: see WorkflowStore.create. */
export async function createWorkflow(
  db: Kysely<Tables>,
  actor: Actor,
  { slug, name, description, alias }: NewWorkflow,
): Promise<WorkflowRecord> {
  const workflowId = newId();
  return await changeWorkflow(db, actor, {
    action: "CREATE",
    workflowId,
    change: async (transaction) => {
      const row = await transaction
        .insertInto("workflow")
        .values({
          environment_id: actor.environmentId,
          id: workflowId,
          slug,
          name,
          description: description ?? null,
          alias: alias ?? null,
        })
        .returning(recordColumns)
        .executeTakeFirstOrThrow();
      return toWorkflowRecord(row);
    },
  });
}

/** What is changed of a workflow; what is absent stays. An empty text takes a description or an alias away. */
export type WorkflowUpdate = Expected & {
  readonly name?: string;
  readonly description?: string;
  readonly alias?: string;
};

/** Changes a workflow: see WorkflowStore.update. Undefined where nothing moved. */
export async function updateWorkflow(
  db: Kysely<Tables>,
  actor: Actor,
  { name, description, alias, ...workflow }: WorkflowUpdate,
): Promise<WorkflowRecord | undefined> {
  const { workflowId } = workflow;
  return await changeWorkflow(db, actor, {
    action: "UPDATE",
    workflowId,
    change: async (transaction) => {
      const row = await expected(transaction, actor, workflow)
        .set({
          ...changed,
          ...(name !== undefined && { name }),
          ...(description !== undefined && { description: description || null }),
          ...(alias !== undefined && { alias: alias || null }),
        })
        .returning(recordColumns)
        .executeTakeFirst();
      return row && toWorkflowRecord(row);
    },
  });
}

/** Takes a workflow away from calls: see WorkflowStore.unpublish. Undefined where nothing moved. */
export async function unpublishWorkflow(
  db: Kysely<Tables>,
  actor: Actor,
  workflow: Expected,
): Promise<WorkflowRecord | undefined> {
  const { workflowId } = workflow;
  return await changeWorkflow(db, actor, {
    action: "UNPUBLISH",
    workflowId,
    change: async (transaction) => {
      const row = await expected(transaction, actor, workflow)
        .set({ ...changed, current_version: null })
        .where("current_version", "is not", null)
        .returning(recordColumns)
        .executeTakeFirst();
      return row && toWorkflowRecord(row);
    },
  });
}

/** Deletes a workflow: see WorkflowStore.delete. False where nothing moved. */
export async function deleteWorkflow(db: Kysely<Tables>, actor: Actor, workflow: Expected): Promise<boolean> {
  const { workflowId } = workflow;
  const deleted = await changeWorkflow(db, actor, {
    action: "DELETE",
    workflowId,
    change: (transaction) =>
      expected(transaction, actor, workflow)
        .set({ ...changed, alias: null, current_version: null, delete_time: sql`now()` })
        .returning("id")
        .executeTakeFirst(),
  });
  return deleted !== undefined;
}

/** What is told of a broken constraint. */
export function refusalOfNames(
  error: unknown,
  { slug, alias }: { readonly slug: string; readonly alias?: string | undefined },
): unknown {
  const constraint = brokenConstraint(error);
  if (constraint === "workflow_alias_taken" && alias !== undefined) {
    const message = `the integration "${slug}" already has a workflow with the alias "${alias}"`;
    return new RequestError("ALIAS_TAKEN", message, { metadata: { alias, slug } });
  }
  if (constraint === "workflow_integration") return integrationNotFound(slug);
  return error;
}

function expected(
  transaction: Transaction<Tables>,
  { environmentId }: Actor,
  { workflowId, expectedRevisions }: Expected,
) {
  return transaction
    .updateTable("workflow")
    .where("environment_id", "=", environmentId)
    .where("id", "=", workflowId)
    .where("delete_time", "is", null)
    .$if(expectedRevisions !== undefined, (update) => update.where("revision", "=", anyOf(expectedRevisions ?? [])));
}
