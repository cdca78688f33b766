import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/**
 * Drafts under test are kept among the versions, since an execution of one must find it again after a crash: under the
 * draft's revision below zero, so that versions go on to be numbered from 1.
 */
export const draftTests: Migration = {
  up: async (db) => {
    await sql`alter table workflow_version
      drop constraint workflow_version_version_check, add check (version <> 0)`.execute(db);
    await sql`alter table workflow add check (current_version > 0)`.execute(db);
  },
};
