import { type RawBuilder, type SqlBool, sql } from "kysely";
import type { AccessScope } from "../../domain/principal.ts";

/** The columns with the workflow and the linked account of a row. */
type Columns = { readonly workflow?: string; readonly account?: string };

/** Restricts rows to the workflows and linked accounts that the caller's key may access, where it is restricted. */
export function isWithin(
  { workflowIds, linkedAccountIds }: Omit<AccessScope, "environmentId">,
  { workflow, account }: Columns,
): RawBuilder<SqlBool> {
  const conditions = [isAmong(workflow, workflowIds), isAmong(account, linkedAccountIds)];
  return sql<SqlBool>`(${sql.join(conditions, sql` and `)})`;
}

function isAmong(column: string | undefined, ids: readonly string[] | undefined): RawBuilder<SqlBool> {
  return column === undefined || ids === undefined
    ? sql<SqlBool>`true`
    : sql<SqlBool>`${sql.ref(column)} = any(${ids}::text[])`;
}
