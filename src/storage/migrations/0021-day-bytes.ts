import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** How many bytes of payloads each environment was taken in a day, a row for each process that took some. */
export const dayBytes: Migration = {
  up: async (db) => {
    await sql`create table environment_day (
      day date not null,
      environment_id text collate "C" not null,
      owner text collate "C" not null,
      bytes bigint not null,
      primary key (day, environment_id, owner)
    )`.execute(db);
  },
};
