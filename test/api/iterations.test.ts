import type { JsonObject } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { putWorkflow } from "../support/flowcall.ts";
import { aTime, executionCalls, invalid, notFound } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { getExecution, listIterations } = ExecutionService.method;

/** Two Groups, one in the other; the inner iteration 1 fails, and nothing minds. */
const nested: JsonObject = {
  nodes: [
    { id: "1", start: { api_call: {} } },
    { id: "4", name: "Outer", group: { count: "3", concurrency: 1 } },
    { id: "5", group_id: "4", group: { count: "2", concurrency: 1, allow_partial_success: true } },
    { id: "6", group_id: "5", transform: { query: "{{node.5.body.iteration_count}} = 1 ? $error('no') : 1" } },
  ],
  edges: [
    { source: "1", target: "4" },
    { source: "4", target: "5", port: "each" },
    { source: "5", target: "6", port: "each" },
  ],
};

const flowcall = await useFlowcall();
const calls = executionCalls(flowcall.url);
let execution_id: string;

beforeAll(async () => {
  await putWorkflow(flowcall.url, { alias: "nested", definition: nested });
  execution_id = await calls.start({ workflow: "nested" });
  await calls.until(getExecution, { execution_id }, { state: "COMPLETED" });
});

function iteration(path: string, rest: JsonObject = {}): JsonObject {
  const [, node_id] = /(\d+)\[\d+\]$/.exec(path) ?? [];
  return expect.objectContaining({ path, node_id, state: "SUCCESS", start_time: aTime, end_time: aTime, ...rest });
}

describe("the iterations of a Group", () => {
  test("are listed without those of other Groups and without outputs", async () => {
    const iterations = [0, 1, 2].map((index) => iteration(`4[${index}]`, { name: "Outer" }));
    await calls.check(listIterations, { execution_id, node_id: "4" }, { iterations });
    const { message } = await calls.ask(listIterations, { execution_id, node_id: "4" });
    expect(JSON.stringify(message)).not.toContain("output");
  });

  test("of a Group inside of an iteration are found by its path, each with its own error", async () => {
    const failed = { state: "ERRORED", error: expect.objectContaining({ node_id: "6" }) };
    const iterations = [iteration("4[2]/5[0]"), iteration("4[2]/5[1]", failed)];
    await calls.check(listIterations, { execution_id, node_id: "4[2]/5" }, { iterations });
    await calls.check(listIterations, { execution_id, node_id: "4[7]/5" }, { iterations: [] });
  });

  test("come in pages, whose tokens are of that Group alone", async () => {
    const first = await calls.ask(listIterations, { execution_id, node_id: "4", page_size: 2 });
    expect(first.message).toMatchObject({ iterations: [{ path: "4[0]" }, { path: "4[1]" }] });
    const page_token = Object(first.message).next_page_token;
    await calls.check(listIterations, { execution_id, node_id: "4", page_token }, { iterations: [iteration("4[2]")] });
    const refusal = { ...invalid, text: /page_token/ };
    await calls.checkRefused(listIterations, { execution_id, node_id: "4[2]/5", page_token }, refusal);
    await calls.checkRefused(listIterations, { execution_id, node_id: "4", page_token: "nonsense" }, refusal);
  });

  test("are refused for what is no Group, and for a page that is none", async () => {
    for (const node_id of ["6", "nobody"]) {
      await calls.checkRefused(listIterations, { execution_id, node_id }, notFound);
    }
    for (const page_size of [0, 201]) {
      await calls.checkRefused(
        listIterations,
        { execution_id, node_id: "4", page_size },
        { ...invalid, text: /page_size/ },
      );
    }
  });
});
