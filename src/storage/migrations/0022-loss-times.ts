import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** When an execution's owner was last lost: how long ago says whether a wait since then ends the row of losses. */
export const lossTimes: Migration = {
  up: async (db) => {
    await sql`alter table execution_claim add column loss_time timestamptz`.execute(db);
  },
};
