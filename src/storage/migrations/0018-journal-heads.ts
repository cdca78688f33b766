import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** What is asked of a journal by path, apart from the outputs, which are not read for it. */
export const journalHeads: Migration = {
  up: async (db) => {
    await sql`alter table journal add column heads text`.execute(db);
  },
};
