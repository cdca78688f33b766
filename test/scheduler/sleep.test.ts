import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { eventually } from "../support/eventually.ts";
import { type Flowcall, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";

const headers = { "x-api-key": testKey };
const account = { linkedAccountId: "john@acme.io" };

let flowcall: Flowcall;

beforeEach(async () => {
  flowcall = await startFlowcall({ FLOWCALL_SLOTS: "1", FLOWCALL_QUEUE_MAX: "0" });
});

afterEach(async () => flowcall?.stop());

function client() {
  return createClient(ExecutionService, createGrpcTransport({ baseUrl: flowcall.url }));
}

async function states(): Promise<readonly unknown[]> {
  const { rows } = await flowcall.database.query(
    `select execution.state, execution_claim.owner, execution_claim.due_time > now() as is_waiting
       from execution left join execution_claim on execution_id = id where tag = 'waits'`,
  );
  return rows;
}

describe("an execution that waits for a time", () => {
  test("holds no slot, and goes on when it is due", async () => {
    for (let count = 0; count < 3; count += 1) {
      await eventually(() =>
        client().executeWorkflow({ ...account, workflow: "slow-task", tag: "waits" }, { headers }),
      );
    }
    await eventually(async () => {
      expect(await states()).toEqual(Array(3).fill({ state: null, owner: null, is_waiting: true }));
    });
    const reply = await client().executeWorkflow(
      { ...account, workflow: "create-task", syncExecution: true },
      { headers },
    );
    expect(reply.returnValue).toBeDefined();
    await eventually(
      async () => {
        expect(await states()).toEqual(Array(3).fill({ state: "COMPLETED", owner: null, is_waiting: null }));
      },
      { withinMs: 20_000, everyMs: 100 },
    );
  });

  test("is not done over: what ran before the wait ran once, and its branch beside it is not held up", async () => {
    await putWorkflow(flowcall.url, {
      alias: "two-branches",
      definition: {
        nodes: [
          { id: "1", start: { api_call: {} } },
          { id: "2", delay: { seconds: "2" } },
          { id: "3", transform: { query: "$random()" } },
          { id: "4", response: { data: '{"before": "{{node.3.body}}", "waited": "{{node.2.body.message}}"}' } },
        ],
        edges: [
          { source: "1", target: "3" },
          { source: "3", target: "2" },
          { source: "2", target: "4" },
        ],
      },
    });
    const { executionId } = await client().executeWorkflow({ ...account, workflow: "two-branches" }, { headers });
    const ended = await client().getExecutionResponse({ ...account, executionId, wait: 30 }, { headers });
    expect(ended.error).toBeUndefined();
    const { rows } = await flowcall.database.query(
      `select entry ->> 'path' as path, max(epoch) as epoch, count(*)::int as count
         from journal, json_array_elements(entries::json) as entry where execution_id = '${executionId}'
         group by 1 order by 1`,
    );
    expect(rows).toEqual([
      { path: "1", epoch: 1, count: 1 },
      { path: "2", epoch: 2, count: 1 },
      { path: "2#wait", epoch: 1, count: 1 },
      { path: "3", epoch: 1, count: 1 },
      { path: "4", epoch: 2, count: 1 },
    ]);
  });
});
