import { type Selectable, sql } from "kysely";
import type { WorkflowRecord } from "../../domain/workflow.ts";
import type { Tables } from "../postgres/tables.ts";

/** The columns of a WorkflowRecord. */
export const recordColumns = [
  "id",
  "slug",
  "name",
  "description",
  "alias",
  "current_version",
  "revision",
  "create_time",
  "update_time",
] as const;

/** Set by each change of a workflow, but not by a change of its draft. */
export const changed = { revision: sql<number>`revision + 1`, update_time: sql<Date>`now()` };

export type WorkflowRow = Pick<Selectable<Tables["workflow"]>, (typeof recordColumns)[number]>;

export function toWorkflowRecord(row: WorkflowRow): WorkflowRecord {
  return {
    id: row.id,
    slug: row.slug,
    name: row.name,
    ...(row.description !== null && { description: row.description }),
    ...(row.alias !== null && { alias: row.alias }),
    ...(row.current_version !== null && { currentVersion: row.current_version }),
    revision: row.revision,
    createTime: row.create_time,
    updateTime: row.update_time,
  };
}
