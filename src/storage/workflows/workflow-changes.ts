import { type Kysely, type QueryCreator, sql } from "kysely";
import type { Actor, AuditAction } from "../../domain/audit.ts";
import { etagMismatch } from "../../domain/http/etag-mismatch.ts";
import type { AccessScope } from "../../domain/principal.ts";
import type { WorkflowRecord, WorkflowReference } from "../../domain/workflow.ts";
import { anyOf } from "../postgres/any-of.ts";
import type { Tables } from "../postgres/tables.ts";
import { auditEvent } from "../tenants/record-change.ts";
import { isOnlyReferenced, isReferenced, onlyReferenced } from "./workflow-reference.ts";
import { recordColumns, toWorkflowRecord } from "./workflow-rows.ts";

/** The workflow to change, and the revisions that it may have (optimistic locking); any where none is given. */
export type Expected = { readonly reference: WorkflowReference; readonly expectedRevisions?: readonly number[] };

/** The update of the one workflow that a reference names, if it has an expected revision. */
export function updateExpected(
  query: QueryCreator<Tables>,
  actor: Actor,
  { reference, expectedRevisions }: Expected,
  column: "revision" | "draft_revision" = "revision",
) {
  const update = query.updateTable("workflow").where(isOnlyReferenced(actor, reference));
  return expectedRevisions === undefined ? update : update.where(column, "=", anyOf(expectedRevisions));
}

/** The audit event of the workflow in the common table expression `changed`. It names the id, since an alias may change. */
export function workflowEvent(actor: Actor, action: AuditAction): ReturnType<typeof auditEvent> {
  return auditEvent(actor, { from: "changed", action, resource: sql<string>`'workflow/' || changed.id` });
}

/** Finds the workflow that a reference names. Throws WORKFLOW_NOT_FOUND and SLUG_REQUIRED. */
export async function findWorkflow(
  db: Kysely<Tables>,
  condition: ReturnType<typeof isReferenced>,
  reference: WorkflowReference,
): Promise<WorkflowRecord> {
  const rows = await db.selectFrom("workflow").select(recordColumns).where(condition).limit(2).execute();
  return toWorkflowRecord(onlyReferenced(rows, reference));
}

/** Throws the reason why a change changed no row: no workflow has the name, several have it, or it has another revision. */
export async function refuseChange(
  db: Kysely<Tables>,
  scope: AccessScope,
  reference: WorkflowReference,
): Promise<never> {
  const { id } = await findWorkflow(db, isReferenced(scope, reference), reference);
  throw etagMismatch({ workflow: id });
}
