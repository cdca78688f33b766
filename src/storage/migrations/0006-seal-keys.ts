import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** The wrapped key of what an execution hides. It goes with the claim: when the execution has ended nothing opens it. */
export const sealKeys: Migration = {
  up: async (db) => {
    await sql`alter table execution_claim add column seal_key text`.execute(db);
  },
};
