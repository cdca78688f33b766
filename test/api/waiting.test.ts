import type { JsonObject } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { beforeAll, describe, expect, test } from "vitest";
import { ExecutionResult_Status, ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { putWorkflow, startBeside, testKey } from "../support/flowcall.ts";
import { type ApiCall, protocolsOf } from "./protocols.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { executeWorkflow, getExecutionResponse } = ExecutionService.method;
const account = "john@acme.io";
const anId = expect.stringMatching(/^[0-9a-f]{24}$/);

const flowcall = await useFlowcall();
const protocols = protocolsOf(flowcall.url);

beforeAll(async () => {
  // A synchronous execution waits for its retries, and for nothing else that takes long here.
  const retry = { delay_ms: 60_000, max_attempts: 2 };
  await putWorkflow(flowcall.url, {
    alias: "long-retry",
    definition: {
      nodes: [
        { id: "1", start: { api_call: {} } },
        { id: "2", transform: { query: '$error("never")' }, settings: { retry } },
        { id: "3", response: { data: "1" } },
      ],
      edges: [
        { source: "1", target: "2" },
        { source: "2", target: "3" },
      ],
    },
  });
});

function execute(workflow: string, fields: JsonObject = {}, headers: ApiCall["headers"] = []): ApiCall {
  const all = { workflow, linked_account_id: account, payload: {}, ...fields };
  return { method: executeWorkflow, key: testKey, fields: all, headers };
}

async function everywhere(call: ApiCall) {
  return Promise.all(protocols.map(async ({ name, call: send }) => ({ name, answer: await send(call) })));
}

/** The call has waited in vain, and says so. */
async function checkStillRunning(call: ApiCall): Promise<void> {
  for (const { name, answer } of await everywhere(call)) {
    expect([name, answer.message]).toEqual([name, { execution_id: anId, status: "RUNNING" }]);
    expect([name, answer.headers.get("x-execution-status")]).toEqual([name, "RUNNING"]);
    if (name !== "REST") {
      continue;
    }
    expect(answer.status).toBe(202);
    const id = answer.headers.get("x-execution-id");
    expect(answer.headers.get("location")).toBe(`/api/v1/execution/${id}/response`);
    expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
  }
}

describe("a call waits no longer than it says", () => {
  test("a synchronous call whose wait is spent is told that the execution goes on", async () => {
    await checkStillRunning(execute("long-retry", { sync_execution: true, wait: 0 }));
    await checkStillRunning(execute("long-retry", { sync_execution: true, wait: 1 }));
  });

  test("a synchronous call that says nothing waits for as long as the server lets it", async () => {
    const impatient = await startBeside(flowcall, { FLOWCALL_SYNC_WAIT_MS: "300" });
    try {
      const [rest] = protocolsOf(impatient.url);
      const answer = await rest?.call(execute("long-retry", { sync_execution: true }));
      expect([answer?.status, answer?.message]).toEqual([202, { execution_id: anId, status: "RUNNING" }]);
    } finally {
      await impatient.stop();
    }
  });

  test("an asynchronous call with a wait is told the same", async () => {
    await checkStillRunning(execute("slow-task", { wait: 1 }));
  });

  test("an asynchronous call with a wait answers the value of what ends in time, a Group's too", async () => {
    const call = execute("batch-notes", { payload: { items: ["a"] }, wait: 30 });
    for (const { name, answer } of await everywhere(call)) {
      const message = { return_value: { notes: ["Note 1: a"] }, execution_id: anId };
      expect([name, answer.message]).toEqual([name, message]);
      expect([name, answer.headers.get("preference-applied")]).toEqual([name, "wait=30"]);
    }
  });

  test("the row of what was answered with an id is committed", async () => {
    for (const { answer } of await everywhere(execute("long-retry", { sync_execution: true, wait: 0 }))) {
      const id = answer.headers.get("x-execution-id");
      const { rows } = await flowcall.database.query(`select type, state from execution where id = '${id}'`);
      expect(rows).toEqual([{ type: "SYNC", state: null }]);
    }
  });

  test("Prefer may repeat, hold other preferences, and quote its value", async () => {
    for (const headers of [
      [["prefer", "respond-async, wait=1"]],
      [
        ["prefer", 'handling="a, wait=9"; x=1'],
        ["prefer", 'WAIT = "1"; y, wait=30'],
      ],
    ] satisfies [string, string][][]) {
      for (const { name, answer } of await everywhere(execute("slow-task", {}, headers))) {
        const isTold = answer.headers.get("preference-applied");
        expect([name, isTold, answer.message]).toEqual([name, "wait=1", { execution_id: anId, status: "RUNNING" }]);
      }
    }
  });

  test("a deadline is answered before it passes", async () => {
    const client = createClient(ExecutionService, createGrpcTransport({ baseUrl: flowcall.url }));
    const request = { workflow: "long-retry", linkedAccountId: account, syncExecution: true };
    const reply = await client.executeWorkflow(request, { headers: { "x-api-key": testKey }, timeoutMs: 1_500 });
    expect(reply.status).toBe(ExecutionResult_Status.RUNNING);
    expect(reply.executionId).toEqual(anId);
  });

  test("a deadline of zero begins the execution all the same, and answers its id", async () => {
    const reply = await fetch(`${flowcall.url}/flowcall.v1.ExecutionService/ExecuteWorkflow`, {
      method: "POST",
      headers: { "x-api-key": testKey, "content-type": "application/json", "connect-timeout-ms": "0" },
      body: JSON.stringify({ workflow: "long-retry", linked_account_id: account, sync_execution: true }),
    });
    expect(await reply.json()).toEqual({ execution_id: anId, status: "RUNNING" });
  });

  test.each([-1, 61])("a wait of %d seconds is refused everywhere", async (wait) => {
    const response = { execution_id: "0123456789abcdef01234567", linked_account_id: account, wait };
    const asked = await everywhere({ method: getExecutionResponse, key: testKey, fields: response });
    // Over REST a call says its wait as a preference, which is never an error.
    const called = (await everywhere(execute("create-task", { wait }))).filter(({ name }) => name !== "REST");
    for (const { name, answer } of [...asked, ...called]) {
      expect([name, answer.reason]).toEqual([name, "VALIDATION_ERROR"]);
      expect(answer.text).toMatch(/wait/);
    }
  });

  test("a preference that is too large is met as far as it can be", async () => {
    for (const { name, answer } of await everywhere(execute("create-task", {}, [["prefer", "wait=9999999999"]]))) {
      expect([name, answer.headers.get("preference-applied")]).toEqual([name, "wait=60"]);
      expect(answer.message).toMatchObject({ execution_id: anId, return_value: { success: "true" } });
    }
  });

  test.each(["wait=soon", "wait=-1", "wait=1.5", "wait", 'wait="', "wait=(1 2)"])(
    "the preference %s is ignored",
    async (preference) => {
      for (const { name, answer } of await everywhere(execute("create-task", {}, [["prefer", preference]]))) {
        expect([name, answer.headers.get("preference-applied"), answer.message]).toEqual([
          name,
          null,
          { execution_id: anId },
        ]);
      }
    },
  );
});

describe("the response of an execution", () => {
  async function start(workflow: string): Promise<string> {
    const answer = await protocols[0]?.call(execute(workflow));
    return answer?.headers.get("x-execution-id") ?? "";
  }

  function response(fields: JsonObject): ApiCall {
    return { method: getExecutionResponse, key: testKey, fields: { linked_account_id: account, ...fields } };
  }

  test("can be waited for, and is answered when there is one", async () => {
    const call = response({ execution_id: await start("slow-task"), wait: 30 });
    for (const { name, answer } of await everywhere(call)) {
      expect([name, answer.message]).toMatchObject([name, { status: "COMPLETED" }]);
    }
  });

  test("is told to be missing when the wait is spent", async () => {
    const call = response({ execution_id: await start("long-retry"), wait: 1 });
    for (const { name, answer } of await everywhere(call)) {
      expect([name, answer.message]).toEqual([name, { response: null, status: "RUNNING" }]);
    }
  });
});
