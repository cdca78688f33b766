import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type Flowcall, startFlowcall } from "../support/flowcall.ts";

let flowcall: Flowcall;

beforeAll(async () => {
  flowcall = await startFlowcall();
});

afterAll(async () => flowcall?.stop());

/** Sweeps are at least so far apart. */
const sweepMs = 400;
const batchMax = 64;
const batches = 20;

test("what a sweep ends too much of for one statement is gone on with at once, and keeps the response it has", async () => {
  const { database } = flowcall;
  // Their ids say that they are of 1970; nobody takes them up before the hour is over.
  await database.query(`
    with place as (
      select workflow.environment_id, workflow.id, account_id from workflow
        join linked_account using (environment_id) where current_version = 1 limit 1
    ), ids as (
      select lpad(to_hex(number), 24, '0') as id from generate_series(1, ${batches * batchMax}) as number
    ), executions as (
      insert into execution (id, environment_id, workflow_id, version, linked_account_id, config_id, type, source, payload, headers, response)
      select ids.id, environment_id, place.id, 1, account_id, 'c', 'ASYNC', 'API_CALL', '{}', '{}', '7' from place, ids
    )
    insert into execution_claim (execution_id, environment_id, linked_account_id, epoch, due_time)
    select ids.id, environment_id, account_id, 0, now() + interval '1 hour' from place, ids`);
  await eventually(async () => {
    expect((await database.query("select from execution_claim")).rows).toHaveLength(0);
  });
  const { rows } = await database.query(`
    select state, count(*)::int as count, min(response) as response,
        extract(epoch from max(end_time) - min(end_time))::float8 * 1000 as ms
      from execution group by state`);
  expect(rows).toEqual([{ state: "TIMED_OUT", count: batches * batchMax, response: "7", ms: expect.any(Number) }]);
  expect(rows[0]?.["ms"]).toBeLessThan(((batches - 1) * sweepMs) / 2);
});
