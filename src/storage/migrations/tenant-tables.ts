import { type RawBuilder, sql } from "kysely";

/** Variables of environments, which nodes send. */
export const variableTable = sql`create table variable (
    environment_id text collate "C" not null references environment,
    name text collate "C" not null check (name <> ''),
    -- Either the value, or the value encrypted and the name of the key that encrypted it.
    value text,
    sealed text,
    sealed_by text collate "C",
    hint text not null,
    -- JSON text of the hosts that a secret may be sent to.
    hosts text not null,
    revision int not null default 1,
    create_time timestamptz(3) not null default now(),
    update_time timestamptz(3) not null default now(),
    primary key (environment_id, name),
    check ((value is null) = (sealed is not null) and (sealed is null) = (sealed_by is null))
  )`;

/** The tables of organisations, their keys and accounts, what those have set and connected, and who changed any of it. */
export const tenantTables: readonly RawBuilder<unknown>[] = [
  sql`create table organization (
    id text collate "C" primary key check (id ~ '^[0-9a-f]{24}$'),
    name text not null,
    create_time timestamptz(3) not null default now()
  )`,
  sql`create table environment (
    id text collate "C" primary key check (id ~ '^[0-9a-f]{24}$'),
    organization_id text collate "C" not null references organization,
    kind text not null check (kind in ('test', 'production')),
    unique (organization_id, kind)
  )`,
  sql`create table api_key (
    id text collate "C" primary key check (id ~ '^[0-9a-f]{24}$'),
    environment_id text collate "C" not null references environment,
    -- SHA-256 of the key: the key itself is not kept.
    hash text collate "C" not null unique check (hash ~ '^[0-9a-f]{64}$'),
    prefix text not null,
    name text not null,
    scopes int[] not null,
    create_time timestamptz(3) not null default now(),
    expire_time timestamptz(3),
    revoke_time timestamptz(3),
    -- The hash of the text that it had before it was rotated, and how long that text works.
    previous_hash text collate "C" check (previous_hash ~ '^[0-9a-f]{64}$'),
    previous_expire_time timestamptz(3),
    workflow_ids text[] check (cardinality(workflow_ids) > 0),
    linked_account_ids text[] check (cardinality(linked_account_ids) > 0),
    check ((previous_hash is null) = (previous_expire_time is null)),
    -- What authors (3) and admins (4) change concerns the whole environment: no restricted key has their scopes.
    check ((workflow_ids is null and linked_account_ids is null) or not scopes && array[3, 4])
  )`,
  sql`create unique index api_key_previous_hash on api_key (previous_hash)`,
  sql`create index api_key_newest on api_key (environment_id, create_time, id)`,
  // The secrets that the checksums of keys are made with. The baseline adds the first one.
  sql`create table key_secret (
    id text collate "C" primary key check (id ~ '^[A-Za-z0-9_-]{4}$'),
    secret bytea not null check (octet_length(secret) = 32),
    create_time timestamptz(3) not null default now()
  )`,
  // A revision counts the changes of what can be edited. Fields are the JSON text of an array of FieldDeclaration.
  sql`create table integration (
    environment_id text collate "C" not null references environment,
    slug text collate "C" not null check (slug <> ''),
    name text not null,
    fields text not null default '[]',
    revision int not null default 1,
    create_time timestamptz(3) not null default now(),
    update_time timestamptz(3) not null default now(),
    -- JSON text of its base URL, its hosts, and how credentials are sent.
    api text not null default '{}',
    primary key (environment_id, slug)
  )`,
  // An account that is deleted keeps its row, marked by a time, since the executions that ran for it stay.
  sql`create table linked_account (
    environment_id text collate "C" not null references environment,
    account_id text collate "C" not null check (account_id <> ''),
    name text,
    attributes text not null default '{}',
    create_time timestamptz(3) not null default now(),
    revision int not null default 1,
    update_time timestamptz(3) not null default now(),
    delete_time timestamptz(3),
    primary key (environment_id, account_id)
  )`,
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
  sql`create table connection (
    environment_id text collate "C" not null,
    account_id text collate "C" not null,
    slug text collate "C" not null,
    -- The credentials, encrypted, and the name of the key that encrypted them.
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
  variableTable,
  sql`create table audit_event (
    environment_id text collate "C" not null references environment,
    id text collate "C" primary key check (id ~ '^[0-9a-f]{24}$'),
    -- The API key that made the change, or a word for the service itself.
    key_id text collate "C" not null,
    action text not null,
    resource text not null,
    create_time timestamptz(3) not null default now()
  )`,
  // The orders that changes are listed in: each is over one column. Expressions for the reason given at execution's.
  sql`create index audit_event_newest on audit_event (environment_id, create_time, id)`,
  sql`create index audit_event_of_resource on audit_event ((environment_id || '/' || resource), create_time, id)`,
  sql`create index audit_event_of_key on audit_event ((environment_id || '/' || key_id), create_time, id)`,
  sql`create index audit_event_of_action on audit_event ((environment_id || '/' || action), create_time, id)`,
  sql`create trigger audit_event_is_final before update on audit_event for each row
    execute function flowcall_refuse_change()`,
];
