import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";

/**
 * What the tables hold: who there is, what they may run, and what ran.
 *
 * Ids are compared byte by byte (collate "C"), whatever language the database was made for. Times have milliseconds,
 * which is what JavaScript's Date can hold: a time that went out and comes back finds its row. Payloads, responses and
 * definitions are text and not jsonb, since they are kept as they came.
 */
export const firstTables: Migration = {
  up: async (db) => {
    for (const statements of [tenants, workflows, executions, guards]) {
      await run(db, statements);
    }
  },
};

const tenants = [
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
    create_time timestamptz(3) not null default now()
  )`,
  sql`create table integration (
    environment_id text collate "C" not null references environment,
    slug text collate "C" not null check (slug <> ''),
    name text not null,
    primary key (environment_id, slug)
  )`,
  sql`create table linked_account (
    environment_id text collate "C" not null references environment,
    account_id text collate "C" not null check (account_id <> ''),
    name text,
    attributes text not null default '{}',
    create_time timestamptz(3) not null default now(),
    primary key (environment_id, account_id)
  )`,
];

const workflows = [
  sql`create table workflow (
    environment_id text collate "C" not null,
    id text collate "C" not null check (id ~ '^[0-9a-f]{24}$'),
    slug text collate "C" not null,
    name text not null,
    description text,
    -- Never of an id's form: a reference is one or the other.
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
  )`,
  sql`create index workflow_newest on workflow (environment_id, create_time, id)`,
  sql`create table workflow_version (
    environment_id text collate "C" not null,
    workflow_id text collate "C" not null,
    version int not null check (version > 0),
    definition text not null,
    create_time timestamptz(3) not null default now(),
    primary key (environment_id, workflow_id, version),
    foreign key (environment_id, workflow_id) references workflow
  )`,
  sql`alter table workflow add constraint workflow_current_version
    foreign key (environment_id, id, current_version) references workflow_version`,
];

const executions = [
  // Inserted once, finished once. The foreign keys name the environment: an execution of one environment that points
  // into another cannot exist. The fill factor leaves room for the one update beside the row it replaces.
  sql`create table execution (
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
  ) with (fillfactor = 85)`,
  // One row for each unfinished accepted execution, deleted at its end: tiny and hot, so that taking one costs the same
  // however many executions were ever run. An update of a column in an index's predicate leaves a dead row behind;
  // hence a table apart that is vacuumed early.
  sql`create table execution_claim (
    execution_id text collate "C" primary key,
    environment_id text collate "C" not null,
    owner text collate "C",
    epoch int not null check (epoch >= 0),
    due_time timestamptz not null default now()
  ) with (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_scale_factor = 0.05
  )`,
  sql`create index execution_claim_due on execution_claim (due_time) where owner is null`,
  sql`create index execution_claim_owned on execution_claim (owner) where owner is not null`,
  // Written through a claim alone, which is why it needs no foreign key.
  sql`create table journal (
    execution_id text collate "C" not null,
    flush_index int not null check (flush_index >= 0),
    environment_id text collate "C" not null,
    epoch int not null,
    entries text not null,
    create_time timestamptz(3) not null default now(),
    primary key (execution_id, flush_index)
  )`,
  sql`create table lease (owner text collate "C" primary key, expire_time timestamptz not null)`,
];

/** What is final stays so even if a statement of ours is wrong one day. */
const guards = [
  sql`create function flowcall_refuse_change() returns trigger language plpgsql as $$
    begin
      raise exception 'a row of % is final', tg_table_name using errcode = 'integrity_constraint_violation';
    end
  $$`,
  sql`create trigger execution_is_final before update on execution for each row
    when (old.state is not null) execute function flowcall_refuse_change()`,
  sql`create trigger workflow_version_is_final before update on workflow_version for each row
    execute function flowcall_refuse_change()`,
  sql`create trigger journal_is_final before update on journal for each row
    execute function flowcall_refuse_change()`,
];

async function run(db: Kysely<unknown>, statements: readonly ReturnType<typeof sql>[]): Promise<void> {
  for (const statement of statements) {
    await statement.execute(db);
  }
}
