import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** How long an execution has run: what earlier owners took, and since when the present one has it. */
export const runningTime: Migration = {
  up: async (db) => {
    await sql`alter table execution_claim
      add column run_ms bigint not null default 0,
      add column run_since timestamptz`.execute(db);
  },
};
