import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { type ApiCall, protocolsOf } from "../api/protocols.ts";
import { type Flowcall, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";

let flowcall: Flowcall;

beforeEach(async () => {
  flowcall = await startFlowcall({ FLOWCALL_SLOTS: "1", FLOWCALL_QUEUE_MAX: "2" });
  // Delays that are too short to sleep through: the execution holds its slot.
  const node = (id: string) => ({ id, delay: { seconds: "0.9" } });
  await putWorkflow(flowcall.url, {
    alias: "busy-task",
    definition: {
      nodes: [{ id: "1", start: { api_call: {} } }, node("2"), node("3"), node("4")],
      edges: [
        { source: "1", target: "2" },
        { source: "2", target: "3" },
        { source: "3", target: "4" },
      ],
    },
  });
});

afterEach(async () => flowcall?.stop());

function execute(workflow: string, isSync: boolean): ApiCall {
  const fields = { workflow, linked_account_id: "john@acme.io", sync_execution: isSync, payload: {} };
  return { method: ExecutionService.method.executeWorkflow, key: testKey, fields };
}

async function call(workflow: string, isSync = false) {
  const [rest] = protocolsOf(flowcall.url);
  if (rest === undefined) {
    throw new Error("there is no REST");
  }
  return rest.call(execute(workflow, isSync));
}

describe("what is over the slots waits, and the wait has a bound", () => {
  test("a synchronous call without a slot is queued, and answers when it has run", async () => {
    await call("busy-task");
    const answer = await call("create-task", true);
    expect(answer.message).toMatchObject({ return_value: { success: "true" } });
    const { rows } = await flowcall.database.query("select type, state from execution order by create_time");
    expect(rows).toEqual([
      { type: "ASYNC", state: "COMPLETED" },
      { type: "SYNC", state: "COMPLETED" },
    ]);
  });

  test("beyond the bound of the whole queue a call is refused on every protocol as what the service has no room for, and says when to come back", async () => {
    for (let count = 0; count < 3; count += 1) {
      expect((await call("busy-task")).status).toBe(200);
    }
    const answers = await Promise.all(
      protocolsOf(flowcall.url).map(async ({ name, call }) => ({ name, ...(await call(execute("busy-task", false))) })),
    );
    for (const { name, reason, code, status, headers } of answers) {
      expect([name, reason, headers.get("retry-after")]).toEqual([name, "SERVER_BUSY", "1"]);
      expect([name, status ?? code]).toEqual([name, name === "REST" ? 503 : "Unavailable"]);
    }
    const { rows } = await flowcall.database.query("select count(*)::int as count from execution");
    expect(rows).toEqual([{ count: 3 }]);
  });
});
