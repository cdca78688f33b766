import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { ScheduleSettings } from "../../src/domain/schedules/schedule.ts";
import { createTenant, json, openStores, type Stores, type Tenant } from "./fixture.ts";

let stores: Stores;
let tenant: Tenant;

beforeAll(async () => {
  stores = await openStores();
  tenant = await createTenant(stores);
});

beforeEach(() => query("delete from schedule"));

afterAll(() => stores.close());

async function query(statement: string): Promise<readonly unknown[]> {
  return (await sql.raw(statement).execute(stores.db)).rows;
}

async function put(id: string, settings: Partial<ScheduleSettings> = {}, schedulesMax = 1_000) {
  const { workflowId, linkedAccountId, actor } = tenant;
  const base = { workflowId, linkedAccountId, payload: json("{}"), cron: "* * * * *", timeZone: "UTC", times: [] };
  const rules = { overlap: "SKIP", catchUpSeconds: 60, jitterSeconds: 0, isPaused: false } as const;
  return await stores.schedules.put(actor, { id, ...base, ...rules, ...settings }, schedulesMax);
}

/** Makes all schedules due for this second, with whatever start is under way. */
async function makeDue(): Promise<void> {
  await query(`update schedule set due_time = now() - interval '1 ms',
    progress = jsonb_set(progress::jsonb, '{nextTime}', to_jsonb(to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS".000Z"')))::text`);
}

/** Lets the time pass that whoever decided a start had for it. */
async function passRetryTime(): Promise<void> {
  await query(`update schedule set due_time = now() - interval '1 ms',
    progress = jsonb_set(progress::jsonb, '{fire,retryTime}', to_jsonb(to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS".000Z"')))::text`);
}

/** Accepts an execution under an id, as a process does that queues it. */
async function accept(executionId: string): Promise<void> {
  await stores.executions.begin({ ...tenant.newExecution(), id: executionId, source: "SCHEDULE" });
}

test("processes that look at the same time share the schedules that are due, each once", async () => {
  await Promise.all(Array.from({ length: 60 }, (_, index) => put(`s${index}`)));
  await makeDue();
  const advanced = await Promise.all(Array.from({ length: 6 }, () => stores.dueSchedules.advance(20)));
  const ids = advanced.flatMap(({ fires }) => fires.map(({ id }) => id));
  const rest = await stores.dueSchedules.advance(100);
  const all = [...ids, ...rest.fires.map(({ id }) => id)];
  expect(all.toSorted()).toEqual(Array.from({ length: 60 }, (_, index) => `s${index}`).toSorted());
  expect((await stores.dueSchedules.advance(100)).count).toBe(0);
});

test("a process that ends before it accepts leaves the start, under its id, to the next one", async () => {
  await put("one");
  await makeDue();
  const [lost] = (await stores.dueSchedules.advance(10)).fires;
  await passRetryTime();
  const [found] = (await stores.dueSchedules.advance(10)).fires;
  expect(found?.fire?.executionId).toBe(lost?.fire?.executionId);
  expect(found?.fire?.executionId).toMatch(/^[0-9a-f]{24}$/);
});

test("a process that ends behind its acceptance has started it, and the next one starts nothing", async () => {
  await put("one");
  await makeDue();
  const [schedule] = (await stores.dueSchedules.advance(10)).fires;
  const executionId = schedule?.fire?.executionId ?? "";
  await accept(executionId);
  await passRetryTime();
  expect(await stores.dueSchedules.advance(10)).toEqual({ fires: [], count: 1 });
  expect(await stores.schedules.get(tenant, "one")).toMatchObject({ started: 1, lastExecutionId: executionId });
});

test("two processes that both believe the start is theirs accept one execution with one claim", async () => {
  await put("one");
  await makeDue();
  const [schedule] = (await stores.dueSchedules.advance(10)).fires;
  const executionId = schedule?.fire?.executionId ?? "";
  await Promise.all([accept(executionId), accept(executionId), accept(executionId)]);
  await Promise.all([1, 2].map(() => stores.dueSchedules.settle([{ executionId }])));
  const rows = await query(`select epoch from execution_claim where execution_id = '${executionId}'`);
  expect(rows).toEqual([{ epoch: 0 }]);
  expect(await stores.schedules.get(tenant, "one")).toMatchObject({ started: 1 });
});

test("a change of the settings keeps the start that is under way", async () => {
  await put("one");
  await makeDue();
  const [schedule] = (await stores.dueSchedules.advance(10)).fires;
  const executionId = schedule?.fire?.executionId ?? "";
  await put("one", { cron: "0 0 * * *" });
  await accept(executionId);
  await stores.dueSchedules.settle([{ executionId }]);
  expect(await stores.schedules.get(tenant, "one")).toMatchObject({ started: 1, cron: "0 0 * * *" });
});

test("the end of the execution before decides whether one is skipped", async () => {
  await put("one");
  await makeDue();
  const [schedule] = (await stores.dueSchedules.advance(10)).fires;
  const executionId = schedule?.fire?.executionId ?? "";
  await accept(executionId);
  await stores.dueSchedules.settle([{ executionId }]);
  await makeDue();
  expect((await stores.dueSchedules.advance(10)).fires).toEqual([]);
  expect(await stores.schedules.get(tenant, "one")).toMatchObject({ skipped: 1 });
  await query(`update execution set state = 'ERRORED', end_time = now() where id = '${executionId}'`);
  await makeDue();
  expect((await stores.dueSchedules.advance(10)).fires).toMatchObject([{ id: "one", failures: 1 }]);
});

test("the time until the next schedule is due is the database's", async () => {
  expect(await stores.dueSchedules.dueInMs()).toBeUndefined();
  await put("one");
  expect(await stores.dueSchedules.dueInMs()).toBeLessThanOrEqual(60_000);
});

test("an environment has so many schedules, and no more", async () => {
  await put("one");
  await expect(put("two", {}, 1)).rejects.toMatchObject({ reason: "SCHEDULES_FULL" });
  await put("one", {}, 1);
});
