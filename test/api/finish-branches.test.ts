import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { beforeAll, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { serve } from "../engine/http/outside.ts";
import { putWorkflow, testKey } from "../support/flowcall.ts";
import { account, executionCalls } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { executeWorkflow, getExecution, getExecutionResponse, retryNode } = ExecutionService.method;

const http = (id: string): JsonObject => ({ id, http: { method: "POST", url: `{{event.body.base}}/${id}` } });
const edges = (...pairs: readonly string[]) =>
  pairs.map((pair) => {
    const [source = "", target = ""] = pair.split(">");
    return { source, target };
  });

/** Three calls side by side; behind the last two another one, behind the last one the Response. */
const calling: JsonObject = {
  on_failure: "FINISH_BRANCHES",
  nodes: [
    { id: "1", start: { api_call: {} } },
    ...["a", "b", "c", "d"].map(http),
    { id: "9", response: { data: "{{node.c.body}}" } },
  ],
  edges: edges("1>a", "1>b", "1>c", "b>d", "c>d", "c>9"),
};

/** A failure, and beside it a Delay that is slept through, with another failure behind it. */
const sleeping: JsonObject = {
  on_failure: "FINISH_BRANCHES",
  nodes: [
    { id: "1", start: { api_call: {} } },
    { id: "rest", delay: { seconds: "1.2" } },
    { id: "late", transform: { query: "$error('late')" } },
    { id: "step", transform: { query: "1" } },
    { id: "first", transform: { query: "$error('first')" } },
  ],
  edges: edges("1>rest", "rest>late", "1>step", "step>first"),
};

const flowcall = await useFlowcall({ FLOWCALL_EGRESS_ALLOW: "127.0.0.0/8" });
const calls = executionCalls(flowcall.url);

beforeAll(async () => {
  await putWorkflow(flowcall.url, { alias: "calling", definition: calling });
  await putWorkflow(flowcall.url, { alias: "sleeping", definition: sleeping });
});

/** The answer once the execution has ended, and the states of its nodes in the order of their ends. */
async function endOf(execution_id: string): Promise<{ answer: JsonValue | undefined; states: readonly string[] }> {
  const fields = { execution_id, linked_account_id: account, wait: 30 };
  const { message: answer } = await calls.ask(getExecutionResponse, fields);
  const { node_runs } = Object((await calls.ask(getExecution, { execution_id })).message);
  return { answer, states: node_runs.map(({ path, state }: Record<string, string>) => `${path} ${state}`) };
}

test("branches beside a failed node come to their end, and one retry completes what failed, on every protocol", async () => {
  for (const { name, call } of calls.protocols) {
    const seen = new Set<string | undefined>();
    const { port, requests } = await serve((request: { url?: string | undefined }, response) => {
      const fails = ["/a", "/b"].includes(request.url ?? "") && !seen.has(request.url);
      seen.add(request.url);
      response.writeHead(fails ? 500 : 200, { "content-type": "application/json" }).end('"done"');
    });
    const payload = { base: `http://127.0.0.1:${port}` };
    const fields = { workflow: "calling", linked_account_id: account, payload, sync_execution: true };
    const { headers, message } = await call({ method: executeWorkflow, fields, key: testKey });
    const execution_id = headers.get("x-execution-id") ?? "";
    const { answer, states } = await endOf(execution_id);
    expect([name, states.toSorted()]).toEqual([
      name,
      ["1 SUCCESS", "9 SUCCESS", "a ERRORED", "b ERRORED", "c SUCCESS", "d SUCCESS"],
    ]);
    const [first = ""] = states.filter((state) => state.endsWith(" ERRORED"));
    const error = { reason: "HTTP_STATUS", node_id: first.slice(0, 1) };
    expect([name, answer]).toMatchObject([name, { status: "ERRORED", response: "done", error }]);
    expect([name, message]).toMatchObject([name, { error, return_value: "done" }]);

    const retried = await call({ method: retryNode, fields: { execution_id, node_id: "a" }, key: testKey });
    const again = await endOf(Object(retried.message).execution_id);
    expect([name, again.answer]).toEqual([name, { status: "COMPLETED", response: "done" }]);
    expect(requests.map(({ path }) => path).sort()).toEqual(["/a", "/a", "/b", "/b", "/c", "/d", "/d"]);
  }
});

test("a run that sleeps after a failure tells that failure when it ends", async () => {
  const { answer, states } = await endOf(await calls.start({ workflow: "sleeping" }));
  expect(answer).toMatchObject({ status: "ERRORED", error: { node_id: "first" } });
  expect(states).toEqual(["1 SUCCESS", "step SUCCESS", "first ERRORED", "rest SUCCESS", "late ERRORED"]);
});
