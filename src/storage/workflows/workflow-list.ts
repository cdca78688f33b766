import { type Kysely, sql } from "kysely";
import type { Reach } from "../../domain/principal.ts";
import type { WorkflowRecord } from "../../domain/workflow.ts";
import { isWithin } from "../postgres/access-scope.ts";
import { cutPage, type Page } from "../postgres/page.ts";
import { pageTokenOf, parsePageToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";
import { recordColumns, toWorkflowRecord } from "./workflow-rows.ts";

export type WorkflowPage = Page & { readonly slug?: string };

export type ListedWorkflows = {
  readonly workflows: readonly WorkflowRecord[];
  /** Absent on the last page. */
  readonly nextPageToken?: string;
};

/** Lists workflows: see WorkflowStore.list. */
export async function listWorkflows(
  db: Kysely<Tables>,
  reach: Reach,
  { slug, ...asked }: WorkflowPage,
): Promise<ListedWorkflows> {
  const { environmentId } = reach;
  const filters = { of: "workflow", environmentId, slug };
  const after = asked.pageToken === undefined ? undefined : parsePageToken(asked.pageToken, filters);
  const rows = await db
    .selectFrom("workflow")
    .select(recordColumns)
    .where((row) =>
      row.and([
        row("delete_time", "is", null),
        isWithin(reach, { workflow: "id" }),
        slug === undefined
          ? row("environment_id", "=", environmentId)
          : // Spelled as the index has it.
            row(sql<string>`(environment_id || '/' || slug)`, "=", `${environmentId}/${slug}`),
        ...(after === undefined
          ? []
          : [row(row.refTuple("create_time", "id"), "<", row.tuple(after.createTime, after.id))]),
      ]),
    )
    .orderBy("create_time", "desc")
    .orderBy("id", "desc")
    .limit(asked.pageSize + 1)
    .execute();
  const { page, next } = cutPage(rows.map(toWorkflowRecord), asked, (last) => pageTokenOf(last, filters));
  return { workflows: page, ...next };
}
