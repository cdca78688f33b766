import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** By what others on its machine know whether the owner of a lease still runs. */
export const processNames: Migration = {
  up: async (db) => {
    await sql`alter table lease add column process text`.execute(db);
  },
};
