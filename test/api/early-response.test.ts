import type { JsonObject } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { eventually } from "../support/eventually.ts";
import { type Flowcall, putWorkflow, startBeside, startFlowcall, testKey } from "../support/flowcall.ts";
import { account, type ExecutionCalls, executionCalls } from "./execution-calls.ts";
import { typeOf, watchProtocolsOf } from "./watch-protocols.ts";

const { executeWorkflow, getExecution, getExecutionResponse, getNodeRun, stopExecution } = ExecutionService.method;

const answer = { task: "taken" };

/** Start → Response → a wait that no test waits for. */
const early = {
  nodes: [
    { id: "1", name: "Start", start: { api_call: {} } },
    { id: "2", name: "Response", response: { data: JSON.stringify(answer), status_code: 201 } },
    { id: "3", name: "Rest", delay: { seconds: "600" } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3" },
  ],
};

/** Start → Group with a Delay that is slept through. */
const sleeping: JsonObject = {
  nodes: [
    { id: "1", name: "Start", start: { api_call: {} } },
    { id: "2", name: "Each", group: { count: "1", output: "{{node.3.body}}" } },
    { id: "3", name: "Rest", group_id: "2", delay: { seconds: "1.5" } },
    { id: "4", name: "Until", delay: { until: "{{event.body.until}}" } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3", port: "each" },
    { source: "1", target: "4" },
  ],
};

let flowcall: Flowcall;
let beside: Flowcall;
let calls: ExecutionCalls;

beforeAll(async () => {
  flowcall = await startFlowcall();
  beside = await startBeside(flowcall, { FLOWCALL_PUBLIC_URL: "https://flows.example/below/" });
  calls = executionCalls(flowcall.url);
  await putWorkflow(flowcall.url, { alias: "early", definition: early });
  await putWorkflow(flowcall.url, { alias: "sleeping", definition: sleeping });
});

afterAll(async () => {
  await beside?.stop();
  await flowcall?.stop();
});

/** An execution whose Response has run, and which goes on. */
async function answered(workflow = "early"): Promise<string> {
  const execution_id = await calls.start({ workflow });
  const fields = { execution_id, linked_account_id: account };
  await calls.until(getExecutionResponse, fields, { response: answer, status: "RUNNING" });
  return execution_id;
}

describe("the response of an execution that goes on", () => {
  test("is answered from when its node is recorded, on every protocol and at every process", async () => {
    const execution_id = await answered();
    for (const { check, protocols } of [calls, executionCalls(beside.url)]) {
      const fields = { execution_id, linked_account_id: account };
      await check(getExecutionResponse, fields, { response: answer, status: "RUNNING" });
      for (const { name, call } of protocols) {
        const { message } = await call({ method: getExecution, key: testKey, fields: { execution_id } });
        expect([name, message]).toMatchObject([name, { response: answer, status_code: 201, status: "RUNNING" }]);
      }
    }
  });

  test("comes with its node's node_finished, on every protocol", async () => {
    const execution_id = await answered();
    for (const { name, watch } of watchProtocolsOf(flowcall.url)) {
      const abort = new AbortController();
      for await (const event of watch({ fields: { execution_id }, key: testKey, signal: abort.signal })) {
        if (typeOf(event) !== "node_finished") {
          continue;
        }
        const run = Object(event["node_finished"]);
        if (run.node_id === "1") {
          expect([name, run]).not.toHaveProperty("1.output");
        }
        if (run.node_id !== "2") {
          continue;
        }
        expect([name, run.output]).toEqual([name, answer]);
        break;
      }
      abort.abort();
    }
  });

  test("stays when the execution is stopped, and whoever waited for the end is told both", async () => {
    const waiting = calls.protocols.map(async ({ name, call }) => {
      const tag = `stopped-${name.toLowerCase().replaceAll(/[^a-z0-9]/g, "-")}`;
      const fields = { workflow: "early", linked_account_id: account, payload: {}, tag, wait: 60 };
      const waited = call({ method: executeWorkflow, key: testKey, fields });
      const execution_id = await idOfTag(tag);
      await calls.until(getExecutionResponse, { execution_id, linked_account_id: account }, { response: answer });
      await call({ method: stopExecution, key: testKey, fields: { execution_id } });
      const error = { reason: "EXECUTION_STOPPED" };
      expect([name, (await waited).message]).toMatchObject([name, { return_value: answer, execution_id, error }]);
      const fieldsOf = { execution_id, linked_account_id: account };
      const { message } = await call({ method: getExecutionResponse, key: testKey, fields: fieldsOf });
      expect([name, message]).toMatchObject([name, { response: answer, status: "ERRORED", error }]);
    });
    await Promise.all(waiting);
  });

  test("is kept as soon as it is taken over from a release that kept it with the end alone", async () => {
    const rest = { id: "4", name: "More rest", delay: { seconds: "600" } };
    const definition = { nodes: [...early.nodes, rest], edges: [...early.edges, { source: "3", target: "4" }] };
    await putWorkflow(flowcall.url, { alias: "early-and-long", definition });
    const execution_id = await answered("early-and-long");
    const { database } = flowcall;
    const row = `where execution_id = '${execution_id}'`;
    const asleep = async () => (await database.query(`select 1 from execution_claim ${row} and owner is null`)).rows;
    await expect.poll(asleep).toHaveLength(1);
    await database.query(`begin; set local session_replication_role = replica;
      update execution set response = null, status_code = null where id = '${execution_id}'; commit`);
    const fields = { execution_id, linked_account_id: account };
    expect((await calls.ask(getExecutionResponse, fields)).message).toEqual({ response: null, status: "RUNNING" });
    await database.query(`update execution_claim set due_time = now() ${row}`);
    await calls.until(getExecutionResponse, fields, { response: answer, status: "RUNNING" });
    await expect.poll(asleep).toHaveLength(1);
    expect((await calls.ask(getExecution, { execution_id })).message).toMatchObject({ status_code: 201 });
    await calls.ask(stopExecution, { execution_id });
  });

  test("stays when no process can run the execution any more, and whoever waited for the end is told both", async () => {
    const tag = "poisoned";
    const [rest] = calls.protocols;
    const waited = rest?.call({
      method: executeWorkflow,
      key: testKey,
      fields: { workflow: "early", linked_account_id: account, payload: {}, tag, wait: 60 },
    });
    const execution_id = await idOfTag(tag);
    await calls.until(getExecutionResponse, { execution_id, linked_account_id: account }, { response: answer });
    await flowcall.database.query(`update execution_claim set losses = 9 where execution_id = '${execution_id}'`);
    const error = { reason: "EXECUTION_POISONED" };
    expect((await waited)?.message).toMatchObject({ return_value: answer, execution_id, error });
    const { message } = await calls.ask(getExecutionResponse, { execution_id, linked_account_id: account });
    expect(message).toMatchObject({ response: answer, status: "ERRORED", error });
  });
});

test("the URL of a workflow is below the one that callers are told to use", async () => {
  const { method } = WorkflowService;
  for (const { name, call } of executionCalls(beside.url).protocols) {
    const { message } = await call({ method: method.getWorkflow, key: testKey, fields: { workflow: "early" } });
    const url = "https://flows.example/below/api/v1/workflow/early/execute";
    expect([name, message]).toMatchObject([name, { method: "POST", url }]);
  }
});

async function idOfTag(tag: string): Promise<string> {
  return await eventually(async () => {
    const { rows } = await flowcall.database.query(`select id from execution where tag = '${tag}'`);
    expect(rows).toHaveLength(1);
    return String(rows[0]?.["id"]);
  });
}

test("what was slept through began when it began, and says how long it took", async () => {
  const until = new Date(Date.now() + 2_600).toJSON();
  const before = Date.now();
  const execution_id = await calls.start({ workflow: "sleeping", payload: { until }, wait: 30 });
  for (const path of ["2", "2[0]/3", "4"]) {
    const { message } = await calls.ask(getNodeRun, { execution_id, node_id: path });
    const { start_time, end_time, output } = Object(message);
    const tookMs = Date.parse(end_time) - Date.parse(start_time);
    expect([path, Date.parse(start_time) - before < 1_300, tookMs >= 1_400]).toEqual([path, true, true]);
    if (path === "4") {
      expect(Number(/^Waited for ([\d.]+) seconds\.$/.exec(output)?.[1])).toBeGreaterThan(1.4);
    } else {
      expect(JSON.stringify(output)).toContain("Waited for 1.5 seconds.");
    }
  }
});
