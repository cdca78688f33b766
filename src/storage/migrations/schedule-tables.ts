import { type RawBuilder, sql } from "kysely";

/** The table of schedules: what starts executions without a call. */
export const scheduleTables: readonly RawBuilder<unknown>[] = [
  sql`create table schedule (
    environment_id text collate "C" not null references environment,
    id text collate "C" not null check (id <> ''),
    workflow_id text collate "C" not null,
    linked_account_id text collate "C" not null,
    -- JSON text of an object: when, and by which rules.
    settings text not null,
    -- JSON text of an object: the event's body.
    payload text not null,
    -- JSON text of an object: its next time, and what it has counted.
    progress text not null,
    -- When a process has to look at it; never, where there is none.
    due_time timestamptz(3),
    -- The execution that is being started, and the one that was started last.
    fire_id text collate "C" check (fire_id ~ '^[0-9a-f]{24}$'),
    last_execution_id text collate "C" check (last_execution_id ~ '^[0-9a-f]{24}$'),
    revision int not null default 1,
    create_time timestamptz(3) not null default now(),
    update_time timestamptz(3) not null default now(),
    primary key (environment_id, id),
    constraint schedule_workflow foreign key (environment_id, workflow_id) references workflow,
    constraint schedule_account foreign key (environment_id, linked_account_id) references linked_account
  )`,
  sql`create index schedule_due on schedule (due_time) where due_time is not null`,
];
