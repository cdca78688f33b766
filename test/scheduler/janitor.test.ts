import { sql } from "kysely";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../src/domain/clock.ts";
import { Janitor } from "../../src/scheduler/rescue/janitor.ts";
import { DayBytesStore } from "../../src/storage/tenants/daily-bytes-store.ts";
import { createTenant, openStores, type Stores, type Tenant } from "../storage/fixture.ts";

let stores: Stores;
let tenant: Tenant;

beforeAll(async () => {
  stores = await openStores();
  tenant = await createTenant(stores);
});

afterAll(() => stores.close());

test("old executions of which many take too long to delete at once are deleted fewer at a time, and what is behind them too", async () => {
  const { environmentId, workflowId, linkedAccountId } = tenant;
  await sql`
    insert into execution (id, environment_id, workflow_id, version, linked_account_id, config_id, type, source,
      payload, headers, state, end_time)
    select lpad(to_hex(number), 24, '0'), ${environmentId}, ${workflowId}, 1, ${linkedAccountId},
      'c', 'ASYNC', 'API_CALL', '{}', '{}', 'COMPLETED', now() - interval '1 hour'
      from generate_series(1, 700) as number`.execute(stores.db);
  // What Postgres answers to a statement that is cancelled for its time, where one deletes more than a few.
  await sql`
    create function take_long() returns trigger language plpgsql as $$ begin
      if (select count(*) from deleted) > 50 then
        raise exception 'canceling statement due to statement timeout' using errcode = '57014';
      end if;
      return null;
    end $$`.execute(stores.db);
  await sql`create trigger takes_long after delete on execution referencing old table as deleted
    for each statement execute function take_long()`.execute(stores.db);
  const { executions, signals, children, drafts, days, db } = stores;
  const dayBytes = new DayBytesStore(db);
  const log = pino({ level: "silent" });
  const janitor = new Janitor({
    executions,
    signals,
    children,
    onMissed: () => undefined,
    drafts,
    days,
    dayBytes,
    retentionMs: 60_000,
    clock: systemClock,
    log,
  });
  await janitor.start();
  await janitor.stop();
  expect(await db.selectFrom("execution").select("id").execute()).toEqual([]);
});
