import { type RawBuilder, sql } from "kysely";
import type { Migration } from "kysely/migration";
import { newKeySecret } from "../../domain/keys/key-checksum.ts";
import { executionTables } from "./execution-tables.ts";
import { scheduleTables } from "./schedule-tables.ts";
import { tenantTables } from "./tenant-tables.ts";
import { webhookTables } from "./webhook-tables.ts";

/**
 * The baseline makes all tables of a new database at once.
 *
 * Ids are compared byte by byte (collate "C"), whatever language the database was made for. Times have milliseconds,
 * which is what JavaScript's Date can hold, so that a time that a caller sends back finds its row. Payloads, responses
 * and definitions are text and not jsonb, since they are kept as they came.
 */
export const baseline: Migration = {
  up: async (db) => {
    for (const statement of [...guards, ...tenantTables, ...executionTables, ...scheduleTables, ...webhookTables]) {
      await statement.execute(db);
    }
    const { id, secret } = newKeySecret();
    await sql`insert into key_secret (id, secret) values (${id}, ${secret})`.execute(db);
  },
};

/** The triggers' functions. Triggers keep what is final as it is, even if a statement of ours is wrong one day. */
const guards: readonly RawBuilder<unknown>[] = [
  sql`create function flowcall_refuse_change() returns trigger language plpgsql as $$
    begin
      raise exception 'a row of % is final', tg_table_name using errcode = 'integrity_constraint_violation';
    end
  $$`,
  sql`create function flowcall_keep_response() returns trigger language plpgsql as $$
    begin
      new.response := old.response;
      new.status_code := old.status_code;
      return new;
    end
  $$`,
];
