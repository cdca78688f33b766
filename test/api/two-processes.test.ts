import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { JsonObject } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { serve } from "../engine/http/outside.ts";
import { changeElsewhere } from "../support/changed-elsewhere.ts";
import { eventually } from "../support/eventually.ts";
import { type Flowcall, putWorkflow, startBeside, startFlowcall, testKey } from "../support/flowcall.ts";
import { hourInSlot } from "../support/hour-long.ts";
import { account, aTime, type ExecutionCalls, executionCalls } from "./execution-calls.ts";
import { typeOf, watchProtocolsOf } from "./watch-protocols.ts";

const { executeWorkflow, getExecution, getNodeRun, stopExecution } = ExecutionService.method;

let first: Flowcall;
let second: Flowcall;
let atFirst: ExecutionCalls;
let atSecond: ExecutionCalls;

beforeAll(async () => {
  const environment = { FLOWCALL_EGRESS_ALLOW: "127.0.0.1" };
  first = await startFlowcall({ ...environment, FLOWCALL_SLOTS: "1" });
  second = await startBeside(first, environment);
  await putWorkflow(first.url, { alias: "seconds", definition: hourInSlot });
  [atFirst, atSecond] = [executionCalls(first.url), executionCalls(second.url)];
});

afterAll(async () => {
  await second?.stop();
  await first?.stop();
});

/** REST and gRPC. */
function both(calls: ExecutionCalls) {
  return calls.protocols.filter(({ name }) => name === "REST" || name === "gRPC");
}

/** An execution of the first process that waits for the answer of another server. */
async function startHeld() {
  const asked = Promise.withResolvers<ServerResponse>();
  const upstream = await serve((_request, response) => asked.resolve(response));
  const url = `http://127.0.0.1:${upstream.port}/`;
  const idempotency_key = crypto.randomUUID();
  const fields = { workflow: "call-http", linked_account_id: account, payload: { url, data: {} }, idempotency_key };
  const execution_id = await atFirst.start(fields);
  const response = await asked.promise;
  const answer = () => response.writeHead(200, { "content-type": "application/json" }).end("{}");
  return { execution_id, fields, response, answer };
}

/** What the first has no slot for, the second runs. */
async function shareOne(): Promise<void> {
  const running = await atFirst.start({ workflow: "seconds" });
  const execution_id = await atFirst.start();
  await atSecond.until(getExecution, { execution_id }, { state: "COMPLETED" });
  expect((await atSecond.ask(getExecution, { execution_id: running })).message).toMatchObject({ state: "RUNNING" });
  await atSecond.ask(stopExecution, { execution_id: running });
}

describe("two processes on one database", () => {
  test("share the work: what one has no slot for the other runs, a synchronous call's too", async () => {
    await shareOne();
    const running = await atFirst.start({ workflow: "seconds" });
    for (const { name, call } of both(atFirst)) {
      const fields = { workflow: "create-task", linked_account_id: account, payload: {}, sync_execution: true };
      const { message } = await call({ method: executeWorkflow, key: testKey, fields });
      expect([name, message]).toMatchObject([name, { return_value: { success: "true" } }]);
    }
    await atFirst.ask(stopExecution, { execution_id: running });
  });

  test("answer no call by what was changed at the other before it began", async () => {
    const processes = { here: second.url, elsewhere: first.url, key: testKey };
    expect(await changeElsewhere(processes, { rounds: 1, hasSchemas: false })).toBeGreaterThan(35);
  });

  test("know each other's idempotency keys, and a repeated call waits for the run of the other", async () => {
    for (const { name, call } of both(atSecond)) {
      const { execution_id, fields, answer } = await startHeld();
      const again = await call({ method: executeWorkflow, key: testKey, fields });
      expect([name, again.headers.get("x-execution-id")]).toEqual([name, execution_id]);
      const waiting = call({ method: executeWorkflow, key: testKey, fields: { ...fields, sync_execution: true } });
      answer();
      const { headers } = await waiting;
      const ended = [headers.get("x-execution-id"), headers.get("x-execution-status")];
      expect([name, ...ended]).toEqual([name, execution_id, "COMPLETED"]);
    }
  });

  test("stop each other's executions, and the node in flight with them", async () => {
    for (const { name, call } of both(atSecond)) {
      const { execution_id, response } = await startHeld();
      const cut = once(response, "close");
      const { message } = await call({ method: stopExecution, key: testKey, fields: { execution_id } });
      expect([name, message]).toMatchObject([name, { state: "STOPPED" }]);
      await cut;
      // The slot is free again.
      await atFirst.until(getExecution, { execution_id: await atFirst.start() }, { state: "COMPLETED" });
    }
  });

  test("show what the other runs to who watches it, to its end", async () => {
    for (const { name, watch } of watchProtocolsOf(second.url)) {
      const { execution_id, answer } = await startHeld();
      const types: string[] = [];
      for await (const event of watch({ key: testKey, fields: { execution_id } })) {
        if (types.length === 0) {
          answer();
        }
        types.push(typeOf(event));
      }
      expect([name, types.at(0), types.at(-1)]).toEqual([name, "accepted", "ended"]);
      expect(types.length).toBeGreaterThan(2);
    }
  });

  test("show each other's nodes that are under way, and no longer when the execution has ended", async () => {
    const { execution_id, answer } = await startHeld();
    const node = { state: "RUNNING", attempts: 1, start_time: aTime, name: "Call" };
    const underWay = async (fields: JsonObject) => {
      const runs: readonly JsonObject[] = Object((await atSecond.ask(getExecution, fields)).message).node_runs;
      return runs.filter(({ end_time }) => end_time === undefined);
    };
    const [run] = await eventually(async () => {
      const runs = await underWay({ execution_id });
      expect(runs).toEqual([
        { ...node, node_id: expect.any(String), path: expect.any(String), notes: [], console: [], attempt_list: [] },
      ]);
      return runs;
    });
    expect((await atSecond.ask(getNodeRun, { execution_id, node_id: run?.["path"] ?? "" })).message).toEqual(run);
    const started: string[] = [];
    for await (const event of watchProtocolsOf(second.url)[0]?.watch({ key: testKey, fields: { execution_id } }) ??
      []) {
      const type = typeOf(event);
      const { path, end_time } = Object(event[type]);
      if (path === run?.["path"]) {
        started.push(`${type} ${end_time === undefined ? "open" : "ended"}`);
      }
      if (type === "node_started") {
        answer();
      }
    }
    expect(started).toEqual(["node_started open", "node_finished ended"]);
    const stopped = await startHeld();
    await eventually(async () => expect(await underWay({ execution_id: stopped.execution_id })).toHaveLength(1));
    await atSecond.ask(stopExecution, { execution_id: stopped.execution_id });
    expect(await underWay({ execution_id: stopped.execution_id })).toEqual([]);
    stopped.answer();
  });

  test("show until when a Delay and a pause between two attempts wait", async () => {
    const retry = { max_attempts: 3, delay_ms: 3_600_000 };
    const definition = {
      nodes: [
        { id: "1", start: { api_call: {} } },
        { id: "2", delay: { seconds: "3600" } },
        { id: "3", settings: { retry }, http: { method: "GET", url: "http://127.0.0.1:1/" } },
      ],
      edges: [
        { source: "1", target: "2" },
        { source: "1", target: "3" },
      ],
    };
    await putWorkflow(first.url, { alias: "waits", definition });
    const execution_id = await atFirst.start({ workflow: "waits" });
    const { node_runs } = await eventually(async () => {
      const { message } = await atSecond.ask(getExecution, { execution_id });
      expect(message).toMatchObject({ state: "WAITING", node_runs: [{ path: "1" }, { path: "2" }, { path: "3" }] });
      return Object(message);
    });
    const [, ...waiting] = node_runs;
    for (const [index, attempts] of [1, 2].entries()) {
      const { start_time, wait_end_time, ...run } = waiting[index];
      expect(run).toEqual({
        node_id: run.path,
        path: String(index + 2),
        state: "WAITING",
        attempts,
        notes: [],
        console: [],
        attempt_list: [],
      });
      const waited = Date.parse(wait_end_time) - Date.parse(start_time);
      expect(Math.abs(waited - 3_600_000)).toBeLessThan(60_000);
    }
    await atFirst.ask(stopExecution, { execution_id });
  });

  test("share the work though the line that hints come over is cut again and again", async () => {
    const cut = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'flowcall-notifier'";
    for (let count = 0; count < 20; count += 1) {
      await first.database.query(`${cut} and datname = current_database()`);
      if (count % 5 === 0) {
        await shareOne();
      }
    }
    await shareOne();
  });
});
