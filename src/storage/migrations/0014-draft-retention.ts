import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/**
 * What the deletion of kept drafts goes by: all of them in an order of their own, which is no other index's, and the
 * executions of each. Neither index has a row of what calls run.
 */
export const draftRetention: Migration = {
  up: async (db) => {
    await sql`create index workflow_version_draft on workflow_version (version, environment_id, workflow_id)
      where version < 0`.execute(db);
    await sql`create index execution_of_draft on execution (environment_id, workflow_id, version)
      where version < 0`.execute(db);
  },
};
