import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/**
 * What the taking over of executions goes by: how often in a row the owner of one was lost without progress, and by
 * which session of the database an owner renews its lease.
 */
export const ownership: Migration = {
  up: async (db) => {
    for (const statement of statements) {
      await statement.execute(db);
    }
  },
};

const statements = [
  sql`alter table execution_claim
    add column losses int not null default 0,
    -- How many flushes of its journal held something at the last loss.
    add column flushes int not null default 0`,
  sql`drop index execution_claim_due`,
  // Suspects wait in a lane of their own, and are nothing to read past for whoever looks at the queue.
  sql`create index execution_claim_due on execution_claim (due_time) where owner is null and losses < 2`,
  sql`create index execution_claim_suspect on execution_claim (losses, execution_id) where losses >= 2`,
  sql`alter table lease
    add column renew_time timestamptz not null default now(),
    add column session_pid int,
    add column session_start timestamptz`,
];
