import { type Kysely, type QueryCreator, sql } from "kysely";
import type { Actor, AuditAction } from "../../domain/audit.ts";
import { etagMismatch } from "../../domain/http/etag-mismatch.ts";
import type { Reach } from "../../domain/principal.ts";
import type { WorkflowRecord, WorkflowReference } from "../../domain/workflow.ts";
import { anyOf } from "../postgres/any-of.ts";
import type { Tables } from "../postgres/tables.ts";
import { auditEvent } from "../tenants/record-change.ts";
import { isOnlyReferenced, isReferenced, onlyReferenced } from "./workflow-reference.ts";
import { recordColumns, toWorkflowRecord } from "./workflow-rows.ts";

/** Which workflow is to be changed, and one of the revisions that it must have; it may have any where none is given. */
export type Expected = { readonly reference: WorkflowReference; readonly expectedRevisions?: readonly number[] };

/** The update of the one workflow that a reference means, in a revision that is expected. */
export function updateExpected(
  query: QueryCreator<Tables>,
  actor: Actor,
  { reference, expectedRevisions }: Expected,
  column: "revision" | "draft_revision" = "revision",
) {
  const update = query.updateTable("workflow").where(isOnlyReferenced(actor, reference));
  return expectedRevisions === undefined ? update : update.where(column, "=", anyOf(expectedRevisions));
}

/** The audit event of a workflow that the common table expression `changed` has changed. It names the id: an alias may move. */
export function workflowEvent(actor: Actor, action: AuditAction): ReturnType<typeof auditEvent> {
  return auditEvent(actor, { from: "changed", action, resource: sql<string>`'workflow/' || changed.id` });
}

/** Finds the workflow that a reference means. Refuses with WORKFLOW_NOT_FOUND, SLUG_REQUIRED. */
export async function findWorkflow(
  db: Kysely<Tables>,
  condition: ReturnType<typeof isReferenced>,
  reference: WorkflowReference,
): Promise<WorkflowRecord> {
  const rows = await db.selectFrom("workflow").select(recordColumns).where(condition).limit(2).execute();
  return toWorkflowRecord(onlyReferenced(rows, reference));
}

/** Refuses a change that moved no row: no one workflow is meant, or it is in another state than was expected. */
export async function refuseChange(db: Kysely<Tables>, scope: Reach, reference: WorkflowReference): Promise<never> {
  const { id } = await findWorkflow(db, isReferenced(scope, reference), reference);
  throw etagMismatch({ workflow: id });
}
