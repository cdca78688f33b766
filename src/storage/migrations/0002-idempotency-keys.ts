import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/**
 * Which execution a caller's key stands for. A key is kept for a while after that execution's end; the execution, and
 * with it the row, is not deleted before.
 */
export const idempotencyKeys: Migration = {
  up: async (db) => {
    await sql`create table idempotency_key (
      environment_id text collate "C" not null,
      linked_account_id text collate "C" not null,
      key text collate "C" not null check (key ~ '^[!-~]{1,255}$'),
      fingerprint text collate "C" not null,
      execution_id text collate "C" not null references execution on delete cascade,
      primary key (environment_id, linked_account_id, key)
    )`.execute(db);
    await sql`create index idempotency_key_execution on idempotency_key (execution_id)`.execute(db);
  },
};
