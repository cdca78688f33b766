import { type RawBuilder, sql } from "kysely";
import type { Migration } from "kysely/migration";
import { newKeySecret } from "../../domain/keys/key-checksum.ts";
import { childTables } from "./child-tables.ts";
import { type PreparedMigration, partitionHistory } from "./partition-history.ts";
import { scheduleTables } from "./schedule-tables.ts";
import { variableTable } from "./tenant-tables.ts";
import { webhookTables } from "./webhook-tables.ts";

/**
 * The migrations that bring a database with `0015-process-names` up to the baseline, by name and in order. It has no number 19.
 * The tables and columns are explained where the baseline makes them.
 */
export const upgrades: Readonly<Record<string, PreparedMigration>> = {
  "0016-key-secrets": {
    up: async (db) => {
      await sql`create table key_secret (
        id text collate "C" primary key check (id ~ '^[A-Za-z0-9_-]{4}$'),
        secret bytea not null check (octet_length(secret) = 32),
        create_time timestamptz(3) not null default now()
      )`.execute(db);
      const { id, secret } = newKeySecret();
      await sql`insert into key_secret (id, secret) values (${id}, ${secret})`.execute(db);
    },
  },
  "0017-blame": runs(
    sql`alter table execution_claim
      add column trials int not null default 0,
      add column sealed_by text collate "C"`,
    sql`create index execution_claim_sealed on execution_claim (sealed_by) where seal_key is not null`,
  ),
  "0018-journal-heads": runs(sql`alter table journal add column heads text`),
  "0020-due-times": runs(
    sql`alter table execution_claim
      add column due_set_time timestamptz,
      add column wake_time timestamptz`,
    sql`create index execution_claim_set on execution_claim (due_set_time)
      where owner is null and due_set_time is not null`,
  ),
  "0021-day-bytes": runs(
    sql`create table environment_day (
      day date not null,
      environment_id text collate "C" not null,
      owner text collate "C" not null,
      bytes bigint not null,
      primary key (day, environment_id, owner)
    )`,
  ),
  "0022-loss-times": runs(sql`alter table execution_claim add column loss_time timestamptz`),
  "0023-early-responses": runs(
    // The name that Postgres gave to the second check of the table. Not validated: what is there kept to a stricter one.
    sql`alter table execution
      drop constraint execution_check1,
      add constraint execution_error_at_end check (state is not null or error is null) not valid`,
    // A process of an earlier version, which may run for a while yet, overwrites the response when it stops an execution.
    sql`create function flowcall_keep_response() returns trigger language plpgsql as $$
    begin
      new.response := old.response;
      new.status_code := old.status_code;
      return new;
    end
  $$`,
    sql`create trigger execution_response_is_final before update on execution for each row
      when (old.response is not null and (new.response, new.status_code) is distinct from (old.response, old.status_code))
      execute function flowcall_keep_response()`,
  ),
  // Before early responses an execution that slept behind its Response node had no response, and one that is stopped or
  // grows too old before it wakes never gets one. So the sleeping executions that may be such are woken within ten
  // minutes, in which an upgrade is over: the run records the response, waits for what is left of its wait, and sleeps on.
  "0024-wake-for-responses": runs(
    sql`update execution_claim as claim
      set due_time = least(claim.due_time, now() + random() * interval '10 minutes'), due_set_time = null,
          -- The wait is not over by the time of this one.
          wake_time = null
      from execution join workflow_version as version
        on version.environment_id = execution.environment_id and version.workflow_id = execution.workflow_id
          and version.version = execution.version
      where claim.owner is null and claim.due_time > now()
        and execution.id = claim.execution_id and execution.response is null
        and version.definition like '%"response"%'
        and exists (select from journal where journal.execution_id = claim.execution_id)`,
  ),
  "0025-no-foreign-keys": runs(
    sql`alter table execution
      drop constraint execution_environment_id_workflow_id_version_fkey,
      drop constraint execution_environment_id_linked_account_id_fkey`,
    sql`alter table idempotency_key drop constraint idempotency_key_execution_id_fkey`,
  ),
  "0026-history-by-day": partitionHistory,
  "0027-signals": runs(
    sql`create table signal (
      execution_id text collate "C" not null,
      name text collate "C" not null,
      environment_id text collate "C" not null,
      value text,
      digest text collate "C",
      create_time timestamptz(3) not null default now(),
      primary key (execution_id, name),
      check ((value is null) = (digest is null))
    )`,
    sql`create index signal_kept on signal (execution_id) where value is not null and value <> ''`,
  ),
  "0028-schedules": runs(
    ...scheduleTables,
    sql`alter table execution
      drop constraint execution_source_check,
      add constraint execution_source_check
        check (source in ('API_CALL', 'SUB_FLOW', 'BATCH', 'TEST', 'RERUN', 'RETRY', 'SCHEDULE')) not valid`,
  ),
  "0029-child-executions": runs(...childTables),
  "0030-webhooks": runs(...webhookTables),
  "0031-integration-api": runs(sql`alter table integration add column api text not null default '{}'`),
  "0032-variables": runs(variableTable),
};

function runs(...statements: readonly RawBuilder<unknown>[]): Migration {
  return {
    up: async (db) => {
      for (const statement of statements) {
        await statement.execute(db);
      }
    },
  };
}
