import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** The execution that a rerun or a retry goes back to. It may be deleted before, hence no foreign key. */
export const origins: Migration = {
  up: async (db) => {
    await sql`alter table execution add column origin_id text collate "C" check (origin_id ~ '^[0-9a-f]{24}$')`.execute(
      db,
    );
  },
};
