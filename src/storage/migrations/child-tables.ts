import { type RawBuilder, sql } from "kysely";

/** The table of executions that nodes of other executions have begun. */
export const childTables: readonly RawBuilder<unknown>[] = [
  // Inserted together with the child. Beside it and not in it, so that an execution that nobody began so costs no more.
  sql`create table child_execution (
    parent_id text collate "C" not null,
    -- The attempt of the node that began it: unique in the parent, and the name of the signal that says how it ended.
    name text collate "C" not null,
    environment_id text collate "C" not null,
    child_id text collate "C" not null,
    -- The first of its ancestors, which nobody began.
    root_id text collate "C" not null,
    mode text not null check (mode in ('WAIT', 'SYNC', 'DETACHED')),
    -- How many ancestors wait for one another above it, and how many of all its ancestors nobody waited for.
    depth int not null,
    detached int not null,
    is_ended boolean not null default false,
    primary key (parent_id, name)
  )`,
  sql`create unique index child_execution_child on child_execution (child_id)`,
  sql`create index child_execution_root on child_execution (root_id)`,
  sql`create index child_execution_open on child_execution (child_id) where not is_ended and mode <> 'DETACHED'`,
];
