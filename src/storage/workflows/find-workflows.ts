import { type Kysely, sql } from "kysely";
import { isId } from "../../domain/id.ts";
import type { AccessScope } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { WorkflowRecord, WorkflowReference } from "../../domain/workflow.ts";
import { isWithin } from "../postgres/access-scope.ts";
import { byInputRow, inputRows } from "../postgres/input-rows.ts";
import type { Tables } from "../postgres/tables.ts";
import { onlyReferenced } from "./workflow-reference.ts";
import { recordColumns, toWorkflowRecord, type WorkflowRow } from "./workflow-rows.ts";

const referenceTypes = { workflow_id: "text", alias: "text", slug: "text" } as const;

/** Finds the workflows of many references. A reference that names no workflow gives its refusal. */
export async function findWorkflows(
  db: Kysely<Tables>,
  scope: AccessScope,
  references: readonly WorkflowReference[],
): Promise<readonly (WorkflowRecord | RequestError)[]> {
  if (references.length === 0) {
    return [];
  }
  const input = references.map(({ workflow, slug }) => ({
    workflow_id: isId(workflow) ? workflow.toLowerCase() : null,
    alias: isId(workflow) ? null : workflow,
    slug: slug ?? null,
  }));
  const workflows = sql`select workflow.* from workflow where workflow.environment_id = ${scope.environmentId}
    and workflow.delete_time is null and (input.slug is null or workflow.slug = input.slug)
    and ${isWithin(scope, { workflow: "workflow.id" })}`;
  const columns = sql.join(recordColumns.map((column) => sql.ref(`workflow.${column}`)));
  const { rows } = await sql<WorkflowRow & { readonly row: number }>`
    select input.row, ${columns}
      from ${inputRows("input", referenceTypes, input)}
      cross join lateral (
        (${workflows} and workflow.id = input.workflow_id)
        union all
        (${workflows} and workflow.alias = input.alias)
      ) as workflow`.execute(db);
  const found = byInputRow(references, rows);
  return references.map((reference, index) => {
    try {
      return toWorkflowRecord(onlyReferenced(found[index] ?? [], reference));
    } catch (error) {
      if (error instanceof RequestError) {
        return error;
      }
      throw error;
    }
  });
}
