import { type Kysely, sql } from "kysely";
import { RequestError } from "../domain/request-error.ts";
import type { WorkflowRecord } from "../domain/workflow.ts";
import { brokenConstraint } from "./faults.ts";
import { integrationNotFound } from "./integration-store.ts";
import type { Tables } from "./tables.ts";
import { changed, type Expected, recordColumns, toWorkflowRecord } from "./workflow-rows.ts";

/** What is changed of a workflow; what is absent stays. An empty text takes a description or an alias away. */
export type WorkflowUpdate = Expected & {
  readonly name?: string;
  readonly description?: string;
  readonly alias?: string;
};

/** Changes a workflow: see WorkflowStore.update. Undefined where nothing moved. */
export async function updateWorkflow(
  db: Kysely<Tables>,
  { name, description, alias, ...workflow }: WorkflowUpdate,
): Promise<WorkflowRecord | undefined> {
  const row = await expected(db, workflow)
    .set({
      ...changed,
      ...(name !== undefined && { name }),
      ...(description !== undefined && { description: description || null }),
      ...(alias !== undefined && { alias: alias || null }),
    })
    .returning(recordColumns)
    .executeTakeFirst();
  return row && toWorkflowRecord(row);
}

/** Takes a workflow away from calls: see WorkflowStore.unpublish. Undefined where nothing moved. */
export async function unpublishWorkflow(db: Kysely<Tables>, workflow: Expected): Promise<WorkflowRecord | undefined> {
  const row = await expected(db, workflow)
    .set({ ...changed, current_version: null })
    .where("current_version", "is not", null)
    .returning(recordColumns)
    .executeTakeFirst();
  return row && toWorkflowRecord(row);
}

/** Deletes a workflow: see WorkflowStore.delete. False where nothing moved. */
export async function deleteWorkflow(db: Kysely<Tables>, workflow: Expected): Promise<boolean> {
  const { numUpdatedRows } = await expected(db, workflow)
    .set({ ...changed, alias: null, current_version: null, delete_time: sql`now()` })
    .executeTakeFirst();
  return numUpdatedRows > 0n;
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

function expected(db: Kysely<Tables>, { environmentId, workflowId, expectedRevision }: Expected) {
  return db
    .updateTable("workflow")
    .where("environment_id", "=", environmentId)
    .where("id", "=", workflowId)
    .where("delete_time", "is", null)
    .$if(expectedRevision !== undefined, (update) => update.where("revision", "=", expectedRevision ?? 0));
}
