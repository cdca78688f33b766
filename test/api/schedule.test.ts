import type { JsonObject } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { ScheduleService } from "../../src/gen/flowcall/v1/schedule_pb.ts";
import { eventually } from "../support/eventually.ts";
import { echoDefinition, putWorkflow, testKey } from "../support/flowcall.ts";
import { account, aTime, executionCalls, notFound } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { putSchedule, getSchedule, listSchedules, deleteSchedule } = ScheduleService.method;
const { pauseSchedule, resumeSchedule, triggerSchedule } = ScheduleService.method;
const { getExecution, getExecutionResponse, listExecutions } = ExecutionService.method;

const flowcall = await useFlowcall();
const calls = executionCalls(flowcall.url);
const anId = expect.stringMatching(/^[0-9a-f]{24}$/);

let workflow: string;

beforeAll(async () => {
  workflow = await putWorkflow(flowcall.url, {
    alias: "tick",
    definition: echoDefinition('{"at": "{{execution.scheduled_time}}", "n": {{event.body.n}}}'),
  });
});

const monthly = { workflow: "tick", linked_account_id: account, cron: "0 0 1 * *" };

async function put(schedule_id: string, fields: JsonObject = {}) {
  const { reason, text, message } = await calls.ask(putSchedule, { schedule_id, ...monthly, ...fields });
  expect([reason, text]).toEqual([undefined, undefined]);
  return Object(message);
}

async function get(schedule_id: string) {
  return Object((await calls.ask(getSchedule, { schedule_id })).message);
}

/** Makes a schedule due at a time, as if that had come, and wakes the processes by a change of another one. */
async function makeDue(id: string, time: string): Promise<void> {
  await flowcall.database.query(
    `update schedule set due_time = now(), progress = jsonb_set(progress::jsonb, '{nextTime}', to_jsonb(${time}))::text
      where id = '${id}'`,
  );
  await put("other");
}

const nowText = `to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS".000Z"')`;

test("a schedule is kept as it was put, alike on every protocol", async () => {
  for (const [index, { name: protocol, call }] of calls.protocols.entries()) {
    const schedule_id = `kept-${index}`;
    const fields = {
      ...monthly,
      ...{ schedule_id, time_zone: "Europe/Berlin", payload: { n: 1 }, tag: "t", overlap: "QUEUE_ONE" },
      ...{ catch_up_seconds: 5, jitter_seconds: 7, pause_after_failures: 3, end_time: "2100-01-01T00:00:00Z" },
    };
    const { message } = await call({ method: putSchedule, fields, key: testKey });
    const { schedule_id: _, workflow: __, ...shown } = fields;
    const expected = {
      ...shown,
      ...{ id: schedule_id, workflow_id: workflow, times: [], is_paused: false, failures: 0 },
      ...{ started: "0", skipped: "0", missed: "0", etag: '"1"', create_time: aTime, update_time: aTime },
      next_time: expect.stringMatching(/^20\d\d-\d\d-\d\dT2[23]:00:00Z$/),
    };
    expect([protocol, message]).toEqual([protocol, expected]);
    expect([protocol, await get(schedule_id)]).toEqual([protocol, expected]);
  }
});

describe("a time that comes", () => {
  test("starts one execution with its payload, its time and its source", async () => {
    await put("fires", { payload: { n: 7 }, tag: "fired" });
    await makeDue("fires", nowText);
    const schedule = await eventually(async () => {
      const found = await get("fires");
      expect(found.started).toBe("1");
      return found;
    });
    const { last_execution_id: execution_id, last_time } = schedule;
    const answer = await calls.ask(getExecutionResponse, { execution_id, linked_account_id: account, wait: 10 });
    expect(answer.message).toMatchObject({
      status: "COMPLETED",
      response: { at: last_time.replace("Z", ".000Z"), n: 7 },
    });
    expect((await calls.ask(getExecution, { execution_id })).message).toMatchObject({
      source: "SCHEDULE",
      tag: "fired",
    });
    const listed = await calls.ask(listExecutions, { source: "SCHEDULE", tag: "fired" });
    expect(Object(listed.message).executions).toMatchObject([{ id: execution_id }]);
  });

  test("is told as refused, and not tried again, where the workflow is not published", async () => {
    const lost = await putWorkflow(flowcall.url, { alias: "lost", definition: echoDefinition("{{event.body}}") });
    await put("refused", { workflow: "lost", pause_after_failures: 2 });
    await flowcall.database.query(`update workflow set current_version = null where id = '${lost}'`);
    await makeDue("refused", nowText);
    await eventually(async () =>
      expect(await get("refused")).toMatchObject({
        ...{ started: "0", failures: 1, is_paused: false },
        last_error: { reason: "WORKFLOW_NOT_PUBLISHED", message: expect.any(String), time: aTime },
      }),
    );
    await makeDue("refused", nowText);
    await eventually(async () => expect(await get("refused")).toMatchObject({ failures: 2 }));
    await makeDue("refused", nowText);
    await eventually(async () => expect(await get("refused")).toMatchObject({ failures: 2, is_paused: true }));
  });

  test("that nobody was there for is missed", async () => {
    await put("missed");
    await makeDue("missed", `'2026-01-01T00:00:00.000Z'::text`);
    await eventually(async () => expect(Number((await get("missed")).missed)).toBeGreaterThan(1));
    expect(await get("missed")).toMatchObject({ started: "0", next_time: expect.stringMatching(/T00:00:00Z$/) });
  });
});

test("a paused schedule has no next time until it is resumed", async () => {
  await put("paused");
  const first = await calls.ask(pauseSchedule, { schedule_id: "paused" });
  expect(first.message).toMatchObject({ is_paused: true, etag: '"2"' });
  expect(first.message).not.toHaveProperty("next_time");
  // A repeat changes nothing.
  expect((await calls.ask(pauseSchedule, { schedule_id: "paused" })).message).toEqual(first.message);
  const resumed = await calls.ask(resumeSchedule, { schedule_id: "paused" });
  expect(resumed.message).toMatchObject({ is_paused: false, next_time: aTime });
});

test("a schedule is triggered by hand, paused or not, and its times stay", async () => {
  const { next_time } = await put("by-hand", { payload: { n: 3 } });
  const { message } = await calls.ask(triggerSchedule, { schedule_id: "by-hand" });
  expect(message).toEqual({ execution_id: anId });
  const { execution_id } = Object(message);
  const answer = await calls.ask(getExecutionResponse, { execution_id, linked_account_id: account, wait: 10 });
  expect(answer.message).toMatchObject({ status: "COMPLETED", response: { n: 3 } });
  expect(await get("by-hand")).toMatchObject({ next_time, started: "0" });
});

test("schedules are listed by id, without payloads, in pages and by workflow and account", async () => {
  await Promise.all(["list-a", "list-b", "list-c"].map((id) => put(id, { payload: { n: 1 } })));
  const first = Object((await calls.ask(listSchedules, { page_size: 1, workflow: "tick" })).message);
  expect(first.schedules[0]).not.toHaveProperty("payload");
  const ids: string[] = [first.schedules[0].id];
  for (let page_token = first.next_page_token; page_token !== undefined; ) {
    const next = Object((await calls.ask(listSchedules, { page_size: 1, workflow: "tick", page_token })).message);
    ids.push(...next.schedules.map(({ id }: { id: string }) => id));
    page_token = next.next_page_token;
  }
  expect(ids).toEqual(ids.toSorted());
  expect(ids).toEqual(expect.arrayContaining(["list-a", "list-b", "list-c"]));
  const nobody = await calls.ask(listSchedules, { linked_account_id: "nobody@acme.io" });
  expect(nobody.message).toEqual({ schedules: [] });
});

test("a deleted schedule is gone", async () => {
  await put("gone");
  expect((await calls.ask(deleteSchedule, { schedule_id: "gone" })).message).toEqual({});
  await calls.checkRefused(getSchedule, { schedule_id: "gone" }, notFound);
  await calls.checkRefused(deleteSchedule, { schedule_id: "gone" }, notFound);
});

test("a change is made from the state that it names, or not at all", async () => {
  const { etag } = await put("etag", { etag: "none" });
  expect(etag).toBe('"1"');
  expect(await put("etag", { etag, cron: "0 1 * * *" })).toMatchObject({ etag: '"2"', cron: "0 1 * * *" });
  for (const stale of [etag, "none"]) {
    const { reason } = await calls.ask(putSchedule, { schedule_id: "etag", ...monthly, etag: stale });
    expect(reason).toBe("ETAG_MISMATCH");
  }
});

describe("bad input is refused with its field, and nothing is kept", () => {
  const { cron: _, ...timeless } = monthly;
  test.each<readonly [string, JsonObject, RegExp]>([
    ["no time at all", timeless, /cron must be given, or else times/],
    ["a cron expression and times", { ...monthly, times: ["2100-01-01T00:00:00Z"] }, /and not both/],
    ["six fields", { ...monthly, cron: "* * * * * *" }, /cron is not a cron expression of five fields/],
    ["a minute 61", { ...monthly, cron: "61 * * * *" }, /cron is not a cron expression/],
    ["a day that never comes", { ...monthly, cron: "0 0 31 2 *" }, /cron names a time that never comes/],
    ["a zone that there is not", { ...monthly, time_zone: "Mars/Olympus" }, /time_zone is no time zone/],
    [
      "an end before the start",
      { ...monthly, start_time: "2100-01-02T00:00:00Z", end_time: "2100-01-01T00:00:00Z" },
      /end_time/,
    ],
    [
      "times too close",
      { ...timeless, times: ["2100-01-01T00:00:00Z", "2100-01-01T00:00:59Z"] },
      /times\[1\] must be a minute/,
    ],
    ["catching up for more than a day", { ...monthly, catch_up_seconds: 86_401 }, /catch_up_seconds/],
    ["an overlap that there is not", { ...monthly, overlap: "SOMETIMES" }, /overlap/],
  ])("%s", async (_name, fields, text) => {
    const answer = await calls.ask(putSchedule, { schedule_id: "bad", ...fields });
    expect([answer.reason, answer.text]).toEqual(["VALIDATION_ERROR", expect.stringMatching(text)]);
    await calls.checkRefused(getSchedule, { schedule_id: "bad" }, notFound);
  });

  test("a workflow and an account that there are not", async () => {
    const workflowless = await calls.ask(putSchedule, { schedule_id: "bad", ...monthly, workflow: "nope" });
    expect(workflowless.reason).toBe("WORKFLOW_NOT_FOUND");
    const accountless = await calls.ask(putSchedule, { schedule_id: "bad", ...monthly, linked_account_id: "nobody" });
    expect(accountless.reason).toBe("INVALID_LINKED_ACCOUNT_ID");
  });
});
