create table kysely_migration (name varchar(255) not null primary key, timestamp varchar(255) not null);
create table kysely_migration_lock (id varchar(255) not null primary key, is_locked integer not null default 0);
insert into kysely_migration_lock values ('migration_lock', 0);
-- 0001-first-tables
create table organization (
  id text collate "C" primary key check (id ~ '^[0-9a-f]{24}$'),
  name text not null,
  create_time timestamptz(3) not null default now()
);
create table environment (
  id text collate "C" primary key check (id ~ '^[0-9a-f]{24}$'),
  organization_id text collate "C" not null references organization,
  kind text not null check (kind in ('test', 'production')),
  unique (organization_id, kind)
);
create table api_key (
  id text collate "C" primary key check (id ~ '^[0-9a-f]{24}$'),
  environment_id text collate "C" not null references environment,
  hash text collate "C" not null unique check (hash ~ '^[0-9a-f]{64}$'),
  prefix text not null,
  name text not null,
  scopes int[] not null,
  create_time timestamptz(3) not null default now()
);
create table integration (
  environment_id text collate "C" not null references environment,
  slug text collate "C" not null check (slug <> ''),
  name text not null,
  primary key (environment_id, slug)
);
create table linked_account (
  environment_id text collate "C" not null references environment,
  account_id text collate "C" not null check (account_id <> ''),
  name text,
  attributes text not null default '{}',
  create_time timestamptz(3) not null default now(),
  primary key (environment_id, account_id)
);
create table workflow (
  environment_id text collate "C" not null,
  id text collate "C" not null check (id ~ '^[0-9a-f]{24}$'),
  slug text collate "C" not null,
  name text not null,
  description text,
  alias text collate "C"
    check (alias ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$' and alias !~ '^[0-9a-fA-F]{24}$'),
  current_version int,
  latest_version int not null default 0,
  draft_definition text not null default '{}',
  draft_revision int not null default 0,
  draft_update_time timestamptz(3) not null default now(),
  create_time timestamptz(3) not null default now(),
  update_time timestamptz(3) not null default now(),
  primary key (environment_id, id),
  constraint workflow_alias_taken unique (environment_id, alias, slug),
  constraint workflow_integration foreign key (environment_id, slug) references integration
);
create index workflow_newest on workflow (environment_id, create_time, id);
create table workflow_version (
  environment_id text collate "C" not null,
  workflow_id text collate "C" not null,
  version int not null check (version > 0),
  definition text not null,
  create_time timestamptz(3) not null default now(),
  primary key (environment_id, workflow_id, version),
  foreign key (environment_id, workflow_id) references workflow
);
alter table workflow add constraint workflow_current_version
  foreign key (environment_id, id, current_version) references workflow_version;
create table execution (
  environment_id text collate "C" not null,
  id text collate "C" primary key check (id ~ '^[0-9a-f]{24}$'),
  workflow_id text collate "C" not null,
  version int not null,
  linked_account_id text collate "C" not null,
  config_id text not null,
  tag text,
  type text not null check (type in ('SYNC', 'ASYNC')),
  source text not null check (source in ('API_CALL', 'SUB_FLOW', 'BATCH', 'TEST', 'RERUN', 'RETRY')),
  payload text not null,
  headers text not null,
  state text check (state in ('COMPLETED', 'ERRORED', 'STOPPED', 'TIMED_OUT')),
  response text,
  status_code int,
  error text,
  create_time timestamptz(3) not null default now(),
  end_time timestamptz(3),
  finished_epoch int,
  check ((state is null) = (end_time is null)),
  check (state is not null or (response is null and status_code is null and error is null)),
  foreign key (environment_id, workflow_id, version) references workflow_version,
  foreign key (environment_id, linked_account_id) references linked_account
) with (fillfactor = 85);
create table execution_claim (
  execution_id text collate "C" primary key,
  environment_id text collate "C" not null,
  owner text collate "C",
  epoch int not null check (epoch >= 0),
  due_time timestamptz not null default now()
) with (
  fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
  autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_scale_factor = 0.05
);
create index execution_claim_due on execution_claim (due_time) where owner is null;
create index execution_claim_owned on execution_claim (owner) where owner is not null;
create table journal (
  execution_id text collate "C" not null,
  flush_index int not null check (flush_index >= 0),
  environment_id text collate "C" not null,
  epoch int not null,
  entries text not null,
  create_time timestamptz(3) not null default now(),
  primary key (execution_id, flush_index)
);
create table lease (owner text collate "C" primary key, expire_time timestamptz not null);
create function flowcall_refuse_change() returns trigger language plpgsql as $$
    begin
      raise exception 'a row of % is final', tg_table_name using errcode = 'integrity_constraint_violation';
    end
  $$;
create trigger execution_is_final before update on execution for each row
  when (old.state is not null) execute function flowcall_refuse_change();
create trigger workflow_version_is_final before update on workflow_version for each row
  execute function flowcall_refuse_change();
create trigger journal_is_final before update on journal for each row
  execute function flowcall_refuse_change();
-- 0002-idempotency-keys
create table idempotency_key (
  environment_id text collate "C" not null,
  linked_account_id text collate "C" not null,
  key text collate "C" not null check (key ~ '^[!-~]{1,255}$'),
  fingerprint text collate "C" not null,
  execution_id text collate "C" not null references execution on delete cascade,
  primary key (environment_id, linked_account_id, key)
);
create index idempotency_key_execution on idempotency_key (execution_id);
-- 0003-list-executions
create index execution_newest on execution (environment_id, create_time, id);
create index execution_of_account on execution ((environment_id || '/' || linked_account_id), create_time, id);
create index execution_of_workflow on execution ((environment_id || '/' || workflow_id), create_time, id);
create index execution_of_tag on execution ((environment_id || '/' || tag), create_time, id) where tag is not null;
-- 0004-origins
alter table execution add column origin_id text collate "C" check (origin_id ~ '^[0-9a-f]{24}$');
-- 0005-running-time
alter table execution_claim
  add column run_ms bigint not null default 0,
  add column run_since timestamptz;
-- 0006-seal-keys
alter table execution_claim add column seal_key text;
-- 0007-ownership
alter table execution_claim
  add column losses int not null default 0,
  add column flushes int not null default 0;
drop index execution_claim_due;
create index execution_claim_due on execution_claim (due_time) where owner is null and losses < 2;
create index execution_claim_suspect on execution_claim (losses, execution_id) where losses >= 2;
alter table lease
  add column renew_time timestamptz not null default now(),
  add column session_pid int,
  add column session_start timestamptz;
-- 0008-tenants
alter table integration
  add column fields text not null default '[]',
  add column revision int not null default 1,
  add column create_time timestamptz(3) not null default now(),
  add column update_time timestamptz(3) not null default now();
alter table linked_account
  add column revision int not null default 1,
  add column update_time timestamptz(3) not null default now(),
  add column delete_time timestamptz(3);
create table config (
  environment_id text collate "C" not null,
  account_id text collate "C" not null,
  slug text collate "C" not null,
  config_id text collate "C" not null check (config_id <> ''),
  application_fields text not null,
  workflow_fields text not null,
  revision int not null default 1,
  create_time timestamptz(3) not null default now(),
  update_time timestamptz(3) not null default now(),
  primary key (environment_id, account_id, slug, config_id),
  constraint config_account foreign key (environment_id, account_id) references linked_account,
  constraint config_integration foreign key (environment_id, slug) references integration on delete cascade
);
alter table execution add column fields text;
create table connection (
  environment_id text collate "C" not null,
  account_id text collate "C" not null,
  slug text collate "C" not null,
  sealed text not null,
  sealed_by text collate "C" not null,
  hints text not null,
  revision int not null default 1,
  create_time timestamptz(3) not null default now(),
  update_time timestamptz(3) not null default now(),
  primary key (environment_id, account_id, slug),
  constraint connection_account foreign key (environment_id, account_id) references linked_account,
  constraint connection_integration foreign key (environment_id, slug) references integration on delete cascade
);
create table audit_event (
  environment_id text collate "C" not null references environment,
  id text collate "C" primary key check (id ~ '^[0-9a-f]{24}$'),
  key_id text collate "C" not null,
  action text not null,
  resource text not null,
  create_time timestamptz(3) not null default now()
);
create index audit_event_newest on audit_event (environment_id, create_time, id);
create trigger audit_event_is_final before update on audit_event for each row
  execute function flowcall_refuse_change();
-- 0009-key-life
alter table api_key
  add column expire_time timestamptz(3),
  add column revoke_time timestamptz(3),
  add column previous_hash text collate "C" check (previous_hash ~ '^[0-9a-f]{64}$'),
  add column previous_expire_time timestamptz(3),
  add column workflow_ids text[] check (cardinality(workflow_ids) > 0),
  add column linked_account_ids text[] check (cardinality(linked_account_ids) > 0),
  add check ((previous_hash is null) = (previous_expire_time is null)),
  add check ((workflow_ids is null and linked_account_ids is null) or not scopes && array[3, 4]);
create unique index api_key_previous_hash on api_key (previous_hash);
create index api_key_newest on api_key (environment_id, create_time, id);
-- 0010-workflow-life
alter table workflow
  add column revision int not null default 0,
  add column delete_time timestamptz(3),
  add check (delete_time is null or (alias is null and current_version is null));
drop index workflow_newest;
create index workflow_newest on workflow (environment_id, create_time, id) where delete_time is null;
create index workflow_of_integration on workflow ((environment_id || '/' || slug), create_time, id)
  where delete_time is null;
-- 0011-draft-tests
alter table workflow_version
  drop constraint workflow_version_version_check, add check (version <> 0);
alter table workflow add check (current_version > 0);
-- 0012-fair-queue
alter table execution_claim add column linked_account_id text collate "C" not null default '';
update execution_claim set linked_account_id = execution.linked_account_id
  from execution where execution.id = execution_claim.execution_id;
create index execution_claim_turn on execution_claim (environment_id, linked_account_id, due_time)
  where owner is null and losses < 2;
alter table lease add column load text;
-- 0013-history
alter table workflow add column live_slug text collate "C"
  generated always as (case when delete_time is null then slug end) stored;
alter table workflow
  drop constraint workflow_integration,
  add constraint workflow_integration foreign key (environment_id, live_slug) references integration;
create index audit_event_of_resource on audit_event ((environment_id || '/' || resource), create_time, id);
create index audit_event_of_key on audit_event ((environment_id || '/' || key_id), create_time, id);
create index audit_event_of_action on audit_event ((environment_id || '/' || action), create_time, id);
-- 0014-draft-retention
create index workflow_version_draft on workflow_version (version, environment_id, workflow_id)
  where version < 0;
create index execution_of_draft on execution (environment_id, workflow_id, version)
  where version < 0;
-- 0015-process-names
alter table lease add column process text;
insert into kysely_migration (name, timestamp) values
  ('0001-first-tables', '2026-11-29T00:00:00.000Z'),
  ('0002-idempotency-keys', '2026-11-29T00:00:00.000Z'),
  ('0003-list-executions', '2026-11-29T00:00:00.000Z'),
  ('0004-origins', '2026-11-29T00:00:00.000Z'),
  ('0005-running-time', '2026-11-29T00:00:00.000Z'),
  ('0006-seal-keys', '2026-11-29T00:00:00.000Z'),
  ('0007-ownership', '2026-11-29T00:00:00.000Z'),
  ('0008-tenants', '2026-11-29T00:00:00.000Z'),
  ('0009-key-life', '2026-11-29T00:00:00.000Z'),
  ('0010-workflow-life', '2026-11-29T00:00:00.000Z'),
  ('0011-draft-tests', '2026-11-29T00:00:00.000Z'),
  ('0012-fair-queue', '2026-11-29T00:00:00.000Z'),
  ('0013-history', '2026-11-29T00:00:00.000Z'),
  ('0014-draft-retention', '2026-11-29T00:00:00.000Z'),
  ('0015-process-names', '2026-11-29T00:00:00.000Z');
