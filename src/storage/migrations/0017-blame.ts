import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** How often an execution was tried as a suspect, and which key sealed what it hides. */
export const blame: Migration = {
  up: async (db) => {
    await sql`alter table execution_claim
      add column trials int not null default 0,
      add column sealed_by text collate "C"`.execute(db);
    await sql`create index execution_claim_sealed on execution_claim (sealed_by) where seal_key is not null`.execute(
      db,
    );
  },
};
