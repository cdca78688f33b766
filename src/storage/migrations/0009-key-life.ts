import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** How long a key lives, the text that it had before, and what it is restricted to. */
export const keyLife: Migration = {
  up: async (db) => {
    // What authors (3) and admins (4) change concerns the whole environment: no restricted key has their scopes.
    await sql`alter table api_key
      add column expire_time timestamptz(3),
      add column revoke_time timestamptz(3),
      add column previous_hash text collate "C" check (previous_hash ~ '^[0-9a-f]{64}$'),
      add column previous_expire_time timestamptz(3),
      add column workflow_ids text[] check (cardinality(workflow_ids) > 0),
      add column linked_account_ids text[] check (cardinality(linked_account_ids) > 0),
      add check ((previous_hash is null) = (previous_expire_time is null)),
      add check ((workflow_ids is null and linked_account_ids is null) or not scopes && array[3, 4])`.execute(db);
    await sql`create unique index api_key_previous_hash on api_key (previous_hash)`.execute(db);
    await sql`create index api_key_newest on api_key (environment_id, create_time, id)`.execute(db);
  },
};
