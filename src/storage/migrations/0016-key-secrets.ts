import { sql } from "kysely";
import type { Migration } from "kysely/migration";
import { newKeySecret } from "../../domain/keys/key-checksum.ts";

/** What the checksums of keys are made with, and the first one of them. */
export const keySecrets: Migration = {
  up: async (db) => {
    await sql`create table key_secret (
      id text collate "C" primary key check (id ~ '^[A-Za-z0-9_-]{4}$'),
      secret bytea not null check (octet_length(secret) = 32),
      create_time timestamptz(3) not null default now()
    )`.execute(db);
    const { id, secret } = newKeySecret();
    await sql`insert into key_secret (id, secret) values (${id}, ${secret})`.execute(db);
  },
};
