import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/**
 * Workflows that change and end. A deleted one keeps its row, since executions and versions point to it, but neither its
 * alias nor what calls would run.
 *
 * Lists go along indexes that hold no deleted row. That of an integration is over an expression, for the reason that
 * `0003-list-executions` gives.
 */
export const workflowLife: Migration = {
  up: async (db) => {
    for (const statement of statements) await statement.execute(db);
  },
};

const statements = [
  sql`alter table workflow
    add column revision int not null default 0,
    add column delete_time timestamptz(3),
    add check (delete_time is null or (alias is null and current_version is null))`,
  sql`drop index workflow_newest`,
  sql`create index workflow_newest on workflow (environment_id, create_time, id) where delete_time is null`,
  sql`create index workflow_of_integration on workflow ((environment_id || '/' || slug), create_time, id)
    where delete_time is null`,
];
