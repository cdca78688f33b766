import type { ExpressionBuilder, ExpressionWrapper, SqlBool } from "kysely";
import { isId } from "../../domain/id.ts";
import type { AccessScope } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { WorkflowReference } from "../../domain/workflow.ts";
import { isWithin } from "../postgres/access-scope.ts";
import type { Tables } from "../postgres/tables.ts";

/** The condition for the row of a named workflow. An id never matches an alias, and a deleted workflow matches nothing. */
export function isReferenced(access: AccessScope, reference: WorkflowReference) {
  return (row: Row): Condition =>
    row.and([wasReferenced(access, reference)(row), row("workflow.delete_time", "is", null)]);
}

/** The same with deleted workflows, by their ids: their executions are still read. */
export function wasReferenced(access: AccessScope, { workflow, slug }: WorkflowReference) {
  return (row: Row): Condition =>
    row.and([
      row("workflow.environment_id", "=", access.environmentId),
      isWithin(access, { workflow: "workflow.id" }),
      isId(workflow) ? row("workflow.id", "=", workflow.toLowerCase()) : row("workflow.alias", "=", workflow),
      ...(slug === undefined ? [] : [row("workflow.slug", "=", slug)]),
    ]);
}

/**
 * The condition for changing the one workflow that a reference names. Where two integrations have the alias, `isReferenced`
 * holds for two rows, and neither is changed.
 */
export function isOnlyReferenced(scope: AccessScope, reference: WorkflowReference) {
  const { workflow, slug } = reference;
  return (row: Row): Condition => {
    const isMeant = isReferenced(scope, reference)(row);
    if (slug !== undefined || isId(workflow)) {
      return isMeant;
    }
    const namesakes = row
      .selectFrom("workflow as namesake")
      .select("namesake.id")
      .where("namesake.environment_id", "=", scope.environmentId)
      .where("namesake.alias", "=", workflow)
      .where("namesake.delete_time", "is", null)
      .where(isWithin(scope, { workflow: "namesake.id" }))
      .whereRef("namesake.id", "<>", "workflow.id");
    return row.and([isMeant, row.not(row.exists(namesakes))]);
  };
}

type Row = ExpressionBuilder<Tables, "workflow">;
type Condition = ExpressionWrapper<Tables, "workflow", SqlBool>;

/** The one row that a reference names. Select up to two rows: an alias that two integrations have is ambiguous. */
export function onlyReferenced<Row>(rows: readonly Row[], reference: WorkflowReference): Row {
  const [row] = rows;
  if (row === undefined) {
    throw workflowNotFound(reference);
  }
  if (rows.length > 1) {
    const { workflow } = reference;
    throw new RequestError(
      "SLUG_REQUIRED",
      `More than one integration has a workflow with the alias "${workflow}". Name the integration's slug as well.`,
      { metadata: { workflow } },
    );
  }
  return row;
}

export function workflowNotFound({ workflow, slug }: WorkflowReference): RequestError {
  const where = slug === undefined ? "" : ` in the integration "${slug}"`;
  return new RequestError("WORKFLOW_NOT_FOUND", `There is no workflow "${workflow}"${where}.`, {
    metadata: { workflow, ...(slug !== undefined && { slug }) },
  });
}
