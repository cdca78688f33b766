import type { DescMethodUnary, JsonObject } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { putWorkflow, testKey } from "../support/flowcall.ts";
import { account, executionCalls, payload } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";
import { watchProtocolsOf } from "./watch-protocols.ts";

const { executeWorkflow, getExecution, getExecutionResponse, getNodeRun, listExecutions, listIterations } =
  ExecutionService.method;

const hidden = { hide_node_request: true };

/** Start → a hidden node → one with encrypted fields → Response of what both gave. */
const secrets: JsonObject = {
  nodes: [
    { id: "1", start: { api_call: {} } },
    { id: "2", name: "Log in", settings: hidden, transform: { query: '{"token": "s3cret"}' } },
    {
      id: "3",
      settings: { encrypted_output_fields: ["result.*.skill", "token"] },
      transform: {
        query: '{"result": [{"name": "Ada", "skill": "s3cret"}, {"name": "Bo"}], "token": {{node.2.body.token}}}',
      },
    },
    { id: "4", response: { data: '["{{node.2.body.token}}", "{{node.3.body.result.0.skill}}"]' } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3" },
    { source: "3", target: "4" },
  ],
};

const failing = { settings: hidden, transform: { query: "$error('s3cret')" } };

const flowcall = await useFlowcall();
const calls = executionCalls(flowcall.url);

beforeAll(async () => {
  await putWorkflow(flowcall.url, { alias: "secrets", definition: secrets });
  await putWorkflow(flowcall.url, {
    alias: "fails",
    definition: {
      nodes: [
        { id: "1", start: { api_call: {} } },
        { id: "2", name: "Log in", ...failing },
      ],
      edges: [{ source: "1", target: "2" }],
    },
  });
  await putWorkflow(flowcall.url, {
    alias: "group-fails",
    definition: {
      nodes: [
        { id: "1", start: { api_call: {} } },
        { id: "2", name: "Each", group: { count: "2", concurrency: 1 } },
        { id: "3", group_id: "2", ...failing },
      ],
      edges: [
        { source: "1", target: "2" },
        { source: "2", target: "3", port: "each" },
      ],
    },
  });
});

describe("what a node hides", () => {
  test("is not shown by GetNodeRun, and reaches other nodes and the caller", async () => {
    const execution_id = await calls.start({ workflow: "secrets", sync_execution: true });
    const run = (fields: JsonObject) => expect.objectContaining({ state: "SUCCESS", ...fields });
    await calls.check(getNodeRun, { execution_id, node_id: "2" }, run({ name: "Log in", output: "[REDACTED]" }));
    const result = [{ name: "Ada", skill: "[REDACTED]" }, { name: "Bo" }];
    await calls.check(getNodeRun, { execution_id, node_id: "3" }, run({ output: { result, token: "[REDACTED]" } }));
    const answer = { response: ["s3cret", "s3cret"], status: "COMPLETED" };
    await calls.check(getExecutionResponse, { execution_id, linked_account_id: account }, answer);
  });

  const sync = { linked_account_id: account, payload, sync_execution: true };
  test.each([
    { workflow: "fails", node_id: "2", own: [executeWorkflow, sync], events: 2 },
    { workflow: "group-fails", node_id: "2[0]/3", own: [listIterations, { node_id: "2" }], events: 4 },
  ] as const)(
    "is in no answer about an execution that failed by it: $workflow",
    async ({ workflow, node_id, own, events }) => {
      const execution_id = await calls.start({ workflow });
      await calls.until(getExecution, { execution_id }, { state: "ERRORED" });
      const [ownMethod, ownFields] = own;
      const asked: readonly (readonly [DescMethodUnary, JsonObject])[] = [
        [getExecution, { execution_id }],
        [getNodeRun, { execution_id, node_id }],
        [getExecutionResponse, { execution_id, linked_account_id: account }],
        [listExecutions, { workflow, slug: "asana" }],
        [ownMethod, { ...(ownMethod === executeWorkflow ? { workflow } : { execution_id }), ...ownFields }],
      ];
      for (const [method, fields] of asked) {
        for (const { name, call } of calls.protocols) {
          const { headers, ...answer } = await call({ method, fields, key: testKey });
          expect([name, method.name, JSON.stringify(answer)]).toEqual([
            name,
            method.name,
            expect.stringContaining("[REDACTED]"),
          ]);
          expect(JSON.stringify([answer, [...headers]])).not.toContain("s3cret");
        }
      }
      for (const { name, watch } of watchProtocolsOf(flowcall.url)) {
        const told = [];
        for await (const event of watch({ fields: { execution_id }, key: testKey })) {
          told.push(JSON.stringify(event));
        }
        expect([name, told.filter((event) => event.includes("[REDACTED]")).length]).toEqual([name, events]);
        expect(told.join()).not.toContain("s3cret");
      }
    },
  );
});
