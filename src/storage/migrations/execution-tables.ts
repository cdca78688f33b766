import { type RawBuilder, sql } from "kysely";
import { childTables } from "./child-tables.ts";

/** The tables of workflows, of their executions, and of the processes that run them. */
export const executionTables: readonly RawBuilder<unknown>[] = [
  // A deleted workflow keeps its row, since executions and versions point to it, but loses its alias and its current
  // version. It holds its integration by `live_slug` for as long as it is not deleted: a deleted one keeps the slug of
  // an integration that may be gone.
  sql`create table workflow (
    environment_id text collate "C" not null,
    id text collate "C" not null check (id ~ '^[0-9a-f]{24}$'),
    slug text collate "C" not null,
    name text not null,
    description text,
    -- Never of an id's form: a reference is one or the other.
    alias text collate "C"
      check (alias ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$' and alias !~ '^[0-9a-fA-F]{24}$'),
    current_version int check (current_version > 0),
    latest_version int not null default 0,
    draft_definition text not null default '{}',
    draft_revision int not null default 0,
    draft_update_time timestamptz(3) not null default now(),
    create_time timestamptz(3) not null default now(),
    update_time timestamptz(3) not null default now(),
    revision int not null default 0,
    delete_time timestamptz(3),
    live_slug text collate "C" generated always as (case when delete_time is null then slug end) stored,
    primary key (environment_id, id),
    check (delete_time is null or (alias is null and current_version is null)),
    constraint workflow_alias_taken unique (environment_id, alias, slug),
    constraint workflow_integration foreign key (environment_id, live_slug) references integration
  )`,
  sql`create index workflow_newest on workflow (environment_id, create_time, id) where delete_time is null`,
  // An expression for the reason given at execution's.
  sql`create index workflow_of_integration on workflow ((environment_id || '/' || slug), create_time, id)
    where delete_time is null`,
  // A draft under test is kept here too, since an execution of it must find it again after a crash: under the draft's
  // revision below zero. Published versions are numbered from 1.
  sql`create table workflow_version (
    environment_id text collate "C" not null,
    workflow_id text collate "C" not null,
    version int not null check (version <> 0),
    definition text not null,
    create_time timestamptz(3) not null default now(),
    primary key (environment_id, workflow_id, version),
    foreign key (environment_id, workflow_id) references workflow
  )`,
  sql`alter table workflow add constraint workflow_current_version
    foreign key (environment_id, id, current_version) references workflow_version`,
  // By this the retention of drafts finds all of them, and by `execution_of_draft` the executions of each. Neither index
  // has a row of what calls run.
  sql`create index workflow_version_draft on workflow_version (version, environment_id, workflow_id)
    where version < 0`,
  sql`create trigger workflow_version_is_final before update on workflow_version for each row
    execute function flowcall_refuse_change()`,

  // An execution is inserted once and finished once. It has no foreign keys, whose checks would cost as much as the insert
  // does: the statement that inserts it checks that its version and its account are of its environment, and the janitor
  // counts those for which it does not hold. Its table and the journal are partitioned by the day of the id
  // (`storage/executions/history-days.ts`); what is of no day that was made is in the default partition. The fill factor
  // leaves room for the one update beside the row that it replaces. A response may be there before the end, and nothing
  // changes it then.
  sql`create table execution (
    environment_id text collate "C" not null,
    id text collate "C" primary key check (id ~ '^[0-9a-f]{24}$'),
    workflow_id text collate "C" not null,
    version int not null,
    linked_account_id text collate "C" not null,
    config_id text not null,
    tag text,
    type text not null check (type in ('SYNC', 'ASYNC')),
    source text not null check (source in ('API_CALL', 'SUB_FLOW', 'BATCH', 'TEST', 'RERUN', 'RETRY', 'SCHEDULE')),
    payload text not null,
    headers text not null,
    state text check (state in ('COMPLETED', 'ERRORED', 'STOPPED', 'TIMED_OUT')),
    response text,
    status_code int,
    error text,
    create_time timestamptz(3) not null default now(),
    end_time timestamptz(3),
    finished_epoch int,
    -- The execution that a rerun or a retry goes back to. It may be deleted before this one: hence no foreign key.
    origin_id text collate "C" check (origin_id ~ '^[0-9a-f]{24}$'),
    -- The configured values that it started with, so that another process that takes it over goes on with them.
    fields text,
    check ((state is null) = (end_time is null)),
    constraint execution_error_at_end check (state is not null or error is null)
  ) partition by range (id)`,
  sql`create table execution_default partition of execution default with (fillfactor = 85)`,
  // The orders that executions are listed in. No column that changes at the end is in them, "state" above all: the one
  // update stays beside the row that it replaces and touches no index (a heap-only tuple update). Expressions, since a
  // condition on one of them leaves the planner no other index to read the same order from: with plain columns it may
  // take the order of the whole environment, and read past all that does not match.
  sql`create index execution_newest on execution (environment_id, create_time, id)`,
  sql`create index execution_of_account on execution ((environment_id || '/' || linked_account_id), create_time, id)`,
  sql`create index execution_of_workflow on execution ((environment_id || '/' || workflow_id), create_time, id)`,
  sql`create index execution_of_tag on execution ((environment_id || '/' || tag), create_time, id) where tag is not null`,
  sql`create index execution_of_draft on execution (environment_id, workflow_id, version) where version < 0`,
  sql`create trigger execution_is_final before update on execution for each row
    when (old.state is not null) execute function flowcall_refuse_change()`,
  sql`create trigger execution_response_is_final before update on execution for each row
    when (old.response is not null and (new.response, new.status_code) is distinct from (old.response, old.status_code))
    execute function flowcall_keep_response()`,

  // One row for each unfinished accepted execution, deleted at its end: the table is tiny and hot, so that a claim costs
  // the same however many executions were ever run. An update of a column in an index's predicate leaves a dead row
  // behind: hence a table apart that is vacuumed early.
  sql`create table execution_claim (
    execution_id text collate "C" primary key,
    environment_id text collate "C" not null,
    owner text collate "C",
    epoch int not null check (epoch >= 0),
    due_time timestamptz not null default now(),
    -- How long it has run: under earlier owners, and since when the present one has it.
    run_ms bigint not null default 0,
    run_since timestamptz,
    -- The wrapped key of what the execution hides. It goes with the claim: nothing opens that after the end.
    seal_key text,
    -- How often in a row its owner was lost without progress, and how many flushes of its journal held something then.
    losses int not null default 0,
    flushes int not null default 0,
    -- The queue is fair between accounts. Empty where a process of an early version wrote it.
    linked_account_id text collate "C" not null default '',
    -- How often it was tried in quarantine, and the name of the key that wrapped seal_key.
    trials int not null default 0,
    sealed_by text collate "C",
    -- By these a wait is judged after the database's clock was set.
    due_set_time timestamptz,
    wake_time timestamptz,
    -- When its owner was last lost: how long ago says whether a wait since then ends the row of losses.
    loss_time timestamptz
  ) with (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_scale_factor = 0.05
  )`,
  sql`create index execution_claim_owned on execution_claim (owner) where owner is not null`,
  // Quarantined executions have an index of their own, so that a reader of the queue need not read past them.
  sql`create index execution_claim_due on execution_claim (due_time) where owner is null and losses < 2`,
  sql`create index execution_claim_suspect on execution_claim (losses, execution_id) where losses >= 2`,
  sql`create index execution_claim_turn on execution_claim (environment_id, linked_account_id, due_time)
    where owner is null and losses < 2`,
  sql`create index execution_claim_sealed on execution_claim (sealed_by) where seal_key is not null`,
  // Empty but for what sleeps: each start looks for what is set in the future.
  sql`create index execution_claim_set on execution_claim (due_set_time)
    where owner is null and due_set_time is not null`,

  // Written through a claim alone, which is why it needs no foreign key. Heads are what is asked of a journal by path,
  // without the outputs.
  sql`create table journal (
    execution_id text collate "C" not null,
    flush_index int not null check (flush_index >= 0),
    environment_id text collate "C" not null,
    epoch int not null,
    entries text not null,
    create_time timestamptz(3) not null default now(),
    heads text,
    primary key (execution_id, flush_index)
  ) partition by range (execution_id)`,
  sql`create table journal_default partition of journal default`,
  sql`create trigger journal_is_final before update on journal for each row
    execute function flowcall_refuse_change()`,
  // The execution that a caller's Idempotency-Key stands for. The row is kept for a while after the execution's end, and
  // deleted with the execution at the latest.
  sql`create table idempotency_key (
    environment_id text collate "C" not null,
    linked_account_id text collate "C" not null,
    key text collate "C" not null check (key ~ '^[!-~]{1,255}$'),
    fingerprint text collate "C" not null,
    execution_id text collate "C" not null,
    primary key (environment_id, linked_account_id, key)
  )`,
  sql`create index idempotency_key_execution on idempotency_key (execution_id)`,

  // What others say to executions that wait for it, one row for each wait: the first of a signal and the end of the wait. A
  // signal may come before its wait. Beside a stored execution it outlives the value, which the partial index finds.
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
  ...childTables,
  // Each process renews its lease by one session of the database. `load` is what it has to do, as it tells the others, and
  // `process` the name by which others on its machine know whether it still runs.
  sql`create table lease (
    owner text collate "C" primary key,
    expire_time timestamptz not null,
    renew_time timestamptz not null default now(),
    session_pid int,
    session_start timestamptz,
    load text,
    process text
  )`,
  // How many bytes of payloads each environment was taken in a day: a row for each process that took some.
  sql`create table environment_day (
    day date not null,
    environment_id text collate "C" not null,
    owner text collate "C" not null,
    bytes bigint not null,
    primary key (day, environment_id, owner)
  )`,
];
