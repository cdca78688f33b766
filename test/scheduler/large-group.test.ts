import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ExecutionResult_Status, ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { eventually } from "../support/eventually.ts";
import { type Flowcall, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";

let flowcall: Flowcall;

beforeAll(async () => {
  flowcall = await startFlowcall();
});

afterAll(async () => flowcall?.stop());

test("a Group of 10,000 iterations is recorded whole, in flushes of a bounded size", { timeout: 60_000 }, async () => {
  const padding = "p".repeat(200);
  await putWorkflow(flowcall.url, {
    alias: "ten-thousand",
    definition: {
      nodes: [
        { id: "1", start: { api_call: {} } },
        { id: "2", group: { count: "10000", output: "{{node.3.body.at}}" } },
        {
          id: "3",
          group_id: "2",
          transform: { query: `{"at": {{node.2.body.iteration_count}}, "padding": "${padding}"}` },
        },
        { id: "4", response: { data: '"{{node.2.body.9999}}"' } },
      ],
      edges: [
        { source: "1", target: "2" },
        { source: "2", target: "3", port: "each" },
        { source: "2", target: "4", port: "next" },
      ],
    },
  });
  const client = createClient(ExecutionService, createGrpcTransport({ baseUrl: flowcall.url }));
  const headers = { "x-api-key": testKey };
  const account = { linkedAccountId: "john@acme.io" };
  const { executionId } = await client.executeWorkflow({ ...account, workflow: "ten-thousand" }, { headers });
  await eventually(
    async () => {
      const { status, response } = await client.getExecutionResponse({ ...account, executionId }, { headers });
      expect(status).toBe(ExecutionResult_Status.COMPLETED);
      expect(response).toMatchObject({ kind: { value: 9_999 } });
    },
    { withinMs: 50_000, everyMs: 100 },
  );
  const { rows } = await flowcall.database.query(
    `select sum(json_array_length(entries::json))::int as entries, max(length(entries)) as chars, count(*)::int as flushes
       from journal where execution_id = '${executionId}'`,
  );
  expect(rows[0]?.["entries"]).toBeGreaterThanOrEqual(20_000);
  expect(rows[0]?.["chars"]).toBeLessThan(3 * 1024 ** 2);
});
