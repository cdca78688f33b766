import { type RawBuilder, type SqlBool, sql } from "kysely";
import type { Reach } from "../../domain/principal.ts";

/** The columns of a row that name the workflow and the linked account which it belongs to, where it belongs to one. */
type Columns = { readonly workflow?: string; readonly account?: string };

/** The condition under which a row of the caller's environment lies within reach. */
export function isWithin(
  { workflowIds, linkedAccountIds }: Omit<Reach, "environmentId">,
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
