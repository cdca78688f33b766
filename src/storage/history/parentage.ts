import { sql } from "kysely";
import type { ExecutionDetail, Parentage } from "../../domain/execution.ts";
import { toDetail } from "../executions/execution-rows.ts";

/** Which node began an execution. A subquery, since few have a parent. */
export const parentColumn = sql<Pick<ParentRow, "executionId" | "name" | "rootId"> | null>`(
  select json_build_object('executionId', parent_id, 'name', name, 'rootId', root_id) from child_execution
   where child_execution.child_id = execution.id and child_execution.environment_id = execution.environment_id
)`.as("parent");

type ParentRow = Omit<Parentage, "path"> & { readonly name: string };

type DetailRow = Parameters<typeof toDetail>[0] & { readonly parent: ParentRow | null };

/** As `toDetail`, with what began the execution. */
export function toFamilyDetail({ parent, ...row }: DetailRow): ExecutionDetail {
  if (parent === null) {
    return toDetail(row);
  }
  const { executionId, name, rootId } = parent;
  // A name is the path of a node, and behind it the attempt.
  return { ...toDetail(row), parent: { executionId, path: name.slice(0, name.indexOf("#")), rootId } };
}
