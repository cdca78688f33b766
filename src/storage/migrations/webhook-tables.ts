import { type RawBuilder, sql } from "kysely";

/** The tables of completion webhooks: who is told of the ends of executions, and the outbox. */
export const webhookTables: readonly RawBuilder<unknown>[] = [
  sql`create table webhook_endpoint (
    environment_id text collate "C" not null references environment,
    id text collate "C" not null check (id <> ''),
    url text not null,
    -- The encrypted secret and headers.
    sealed text not null,
    sealed_by text collate "C" not null,
    -- The ends that it is told of. Null: of all workflows; of all slugs; of all sources but tests.
    states text[] not null,
    workflow_ids text[],
    slugs text[],
    sources text[],
    -- JSON text of an object: how its requests are made.
    settings text not null,
    is_enabled boolean not null,
    disable_reason text,
    -- Since when all deliveries have failed.
    failing_since timestamptz(3),
    revision int not null default 1,
    create_time timestamptz(3) not null default now(),
    update_time timestamptz(3) not null default now(),
    primary key (environment_id, id)
  )`,
  // A row is inserted by the statement that ends an execution, one for each endpoint.
  sql`create table webhook_delivery (
    environment_id text collate "C" not null,
    endpoint_id text collate "C" not null,
    id text collate "C" not null,
    execution_id text collate "C" not null,
    event text not null,
    attempts int not null default 0,
    -- When it is tried next; null where it is delivered or given up.
    due_time timestamptz(3),
    is_delivered boolean not null default false,
    status int,
    error text,
    answer text,
    create_time timestamptz(3) not null default now(),
    end_time timestamptz(3),
    primary key (environment_id, endpoint_id, id),
    constraint webhook_delivery_endpoint foreign key (environment_id, endpoint_id)
      references webhook_endpoint on delete cascade
  )`,
  sql`create index webhook_delivery_due on webhook_delivery (due_time) where due_time is not null`,
  sql`create index webhook_delivery_turn on webhook_delivery (environment_id, endpoint_id, due_time)
    where due_time is not null`,
  sql`create index webhook_delivery_ended on webhook_delivery (end_time) where end_time is not null`,
];
