import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** What an execution that waits for a time is judged by after the database's clock was set. */
export const dueTimes: Migration = {
  up: async (db) => {
    await sql`alter table execution_claim
      add column due_set_time timestamptz,
      add column wake_time timestamptz`.execute(db);
    // Empty but for what sleeps: what is set in the future is looked for at each start.
    await sql`create index execution_claim_set on execution_claim (due_set_time)
      where owner is null and due_set_time is not null`.execute(db);
  },
};
