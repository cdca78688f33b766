import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { serve } from "../engine/http/outside.ts";
import { type Flowcall, putWorkflow, startBeside, startFlowcall, testKey } from "../support/flowcall.ts";
import { hourInSlot } from "../support/hour-long.ts";
import { account, type ExecutionCalls, executionCalls } from "./execution-calls.ts";
import { typeOf, watchProtocolsOf } from "./watch-protocols.ts";

const { executeWorkflow, getExecution, stopExecution } = ExecutionService.method;

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
        if (types.length === 0) answer();
        types.push(typeOf(event));
      }
      expect([name, types.at(0), types.at(-1)]).toEqual([name, "accepted", "ended"]);
      expect(types.length).toBeGreaterThan(2);
    }
  });

  test("share the work though the line that hints come over is cut again and again", async () => {
    const cut = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'flowcall-hints'";
    for (let count = 0; count < 20; count += 1) {
      await first.database.query(`${cut} and datname = current_database()`);
      if (count % 5 === 0) await shareOne();
    }
    await shareOne();
  });
});
