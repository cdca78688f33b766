import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** What integrations declare, what accounts have set and connected, and who changed any of it. */
export const tenants: Migration = {
  up: async (db) => {
    for (const statement of statements) {
      await statement.execute(db);
    }
  },
};

const statements = [
  // A revision counts the changes of what can be edited. Fields are the JSON text of an array of FieldDeclaration.
  sql`alter table integration
    add column fields text not null default '[]',
    add column revision int not null default 1,
    add column create_time timestamptz(3) not null default now(),
    add column update_time timestamptz(3) not null default now()`,
  // An account that is deleted stays as a mark, since the executions that ran for it stay.
  sql`alter table linked_account
    add column revision int not null default 1,
    add column update_time timestamptz(3) not null default now(),
    add column delete_time timestamptz(3)`,
  sql`create table config (
    environment_id text collate "C" not null,
    account_id text collate "C" not null,
    slug text collate "C" not null,
    config_id text collate "C" not null check (config_id <> ''),
    -- JSON text of an object of values.
    application_fields text not null,
    -- JSON text of an object of such objects, by workflow id.
    workflow_fields text not null,
    revision int not null default 1,
    create_time timestamptz(3) not null default now(),
    update_time timestamptz(3) not null default now(),
    primary key (environment_id, account_id, slug, config_id),
    constraint config_account foreign key (environment_id, account_id) references linked_account,
    constraint config_integration foreign key (environment_id, slug) references integration on delete cascade
  )`,
  // The values that an execution started with, so that whoever takes it over goes on with them.
  sql`alter table execution add column fields text`,
  sql`create table connection (
    environment_id text collate "C" not null,
    account_id text collate "C" not null,
    slug text collate "C" not null,
    -- The credentials, encrypted, and which key did it.
    sealed text not null,
    sealed_by text collate "C" not null,
    -- What may be shown: JSON text of an object of hints, by the credentials' names.
    hints text not null,
    revision int not null default 1,
    create_time timestamptz(3) not null default now(),
    update_time timestamptz(3) not null default now(),
    primary key (environment_id, account_id, slug),
    constraint connection_account foreign key (environment_id, account_id) references linked_account,
    constraint connection_integration foreign key (environment_id, slug) references integration on delete cascade
  )`,
  sql`create table audit_event (
    environment_id text collate "C" not null references environment,
    id text collate "C" primary key check (id ~ '^[0-9a-f]{24}$'),
    -- The API key that made the change, or a word for the service itself.
    key_id text collate "C" not null,
    action text not null,
    resource text not null,
    create_time timestamptz(3) not null default now()
  )`,
  sql`create index audit_event_newest on audit_event (environment_id, create_time, id)`,
  sql`create trigger audit_event_is_final before update on audit_event for each row
    execute function flowcall_refuse_change()`,
];
