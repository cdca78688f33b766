import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** What the queue is served by turns by: the account of each claim, and what the processes tell each other of their load. */
export const fairQueue: Migration = {
  up: async (db) => {
    for (const statement of statements) {
      await statement.execute(db);
    }
  },
};

const statements = [
  // A process of the version before names no account: what it queues has turns of its own.
  sql`alter table execution_claim add column linked_account_id text collate "C" not null default ''`,
  sql`update execution_claim set linked_account_id = execution.linked_account_id
    from execution where execution.id = execution_claim.execution_id`,
  sql`create index execution_claim_turn on execution_claim (environment_id, linked_account_id, due_time)
    where owner is null and losses < 2`,
  sql`alter table lease add column load text`,
];
