import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";

/**
 * Orders that executions are listed in: all of an environment, and those of an account, a workflow and a label.
 *
 * No column that changes when an execution ends is in them, `state` above all: an execution's one update stays beside
 * the row that it replaces and touches no index.
 */
export const listExecutions: Migration = {
  up: async (db: Kysely<unknown>) => {
    for (const statement of indexes) {
      await statement.execute(db);
    }
  },
};

const indexes = [
  sql`create index execution_newest on execution (environment_id, create_time, id)`,
  // Expressions: a condition on one of them leaves the planner no other index to read the same order from. Of the plain
  // columns it may take the order of the whole environment, and read through all that is not meant.
  sql`create index execution_of_account on execution ((environment_id || '/' || linked_account_id), create_time, id)`,
  sql`create index execution_of_workflow on execution ((environment_id || '/' || workflow_id), create_time, id)`,
  sql`create index execution_of_tag on execution ((environment_id || '/' || tag), create_time, id) where tag is not null`,
];
