import type { JsonObject } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { eventually } from "../support/eventually.ts";
import { type Flowcall, putWorkflow, startBeside, startFlowcall } from "../support/flowcall.ts";
import { account, type ExecutionCalls, executionCalls } from "./execution-calls.ts";

const { getExecution, getNodeRun, listExecutions, retryNode, resumeNode, stopExecution } = ExecutionService.method;

/** Start → one node after the other. */
function chain(...nodes: readonly JsonObject[]): JsonObject {
  const all = [{ start: { api_call: {} } }, ...nodes].map((node, index) => ({ id: String(index + 1), ...node }));
  return { nodes: all, edges: all.slice(1).map(({ id }) => ({ source: String(Number(id) - 1), target: id })) };
}

const answer = (data: string) => ({ response: { data } });
const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] };

const workflows: Readonly<Record<string, JsonObject>> = {
  child: chain({ response: { data: '{"n": "{{event.body.n}}", "for": "{{linked_account.id}}"}', status_code: 201 } }),
  checked: { ...chain(), nodes: [{ id: "1", start: { api_call: { schema } } }] },
  failing: chain({ terminate: { result: "ERROR", message: "The child says no." } }),
  waiting: chain({ wait_for_webhook: {} }, answer("{{node.2.body}}")),
  grouped: {
    nodes: [
      { id: "1", start: { api_call: {} } },
      { id: "2", group: { count: "1" } },
      { id: "3", group_id: "2", transform: { query: "1" } },
    ],
    edges: [
      { source: "1", target: "2" },
      { source: "2", target: "3", port: "each" },
    ],
  },
  waits: chain({ sub_flow: { workflow: "child", payload: '{"n": "{{event.body.n}}"}' } }, answer("{{node.2.body}}")),
  sync: chain({ sub_flow: { workflow: "child", payload: '{"n": 2}', mode: "SYNC" } }, answer("{{node.2.body}}")),
  detached: chain({ sub_flow: { workflow: "waiting", mode: "DETACHED" } }, answer("{{node.2.body}}")),
  accepts: chain({ sub_flow: { workflow: "failing", accept_errored: true } }, answer("{{node.2.body}}")),
  fails: chain({ sub_flow: { workflow: "failing" }, settings: { retry: { max_attempts: 2, delay_ms: 0 } } }),
  refused: chain({ sub_flow: { workflow: "checked", payload: '{"n": "one"}' } }),
  "sync-grouped": chain({ sub_flow: { workflow: "grouped", mode: "SYNC" } }),
  nobody: chain({ sub_flow: { workflow: "no-such" } }),
  "waits-long": chain({ sub_flow: { workflow: "waiting" } }, answer("{{node.2.body.return_value}}")),
  "waits-short": chain({ sub_flow: { workflow: "waiting" }, settings: { timeout_ms: 1200 } }),
  recursive: chain({ sub_flow: { workflow: "recursive" } }),
  above: chain({ sub_flow: { workflow: "waits-long" } }),
};

let flowcall: Flowcall;
let beside: Flowcall;
let calls: ExecutionCalls;

beforeAll(async () => {
  // A slot for each process: who waits must hold none.
  const environment = { FLOWCALL_PUBLIC_URL: "https://flows.example", FLOWCALL_SLOTS: "1" };
  flowcall = await startFlowcall(environment);
  beside = await startBeside(flowcall, environment);
  calls = executionCalls(flowcall.url);
  for (const [alias, definition] of Object.entries(workflows)) {
    await putWorkflow(flowcall.url, { alias, definition });
  }
});

afterAll(async () => {
  await beside?.stop();
  await flowcall?.stop();
});

async function ended(workflow: string, payload: JsonObject = {}) {
  const execution_id = await calls.start({ workflow, payload });
  return Object(
    await eventually(async () => {
      const { message } = await calls.ask(getExecution, { execution_id });
      expect(Object(message).state).toMatch(/COMPLETED|ERRORED|STOPPED/);
      return message;
    }),
  );
}

async function childrenOf(parent_execution_id: string) {
  const { message } = await calls.ask(listExecutions, { parent_execution_id });
  return Object(message).executions ?? [];
}

async function waitingChildOf(execution_id: string): Promise<string> {
  return await eventually(async () => {
    const [child] = await childrenOf(execution_id);
    expect(child).toMatchObject({ state: "WAITING" });
    return child.id;
  });
}

const untilState = (execution_id: string, state: string) => calls.until(getExecution, { execution_id }, { state });

test("waits for another execution without a slot, and goes on with what it answered", async () => {
  const parent = await ended("waits", { n: 7 });
  const [child, ...more] = await childrenOf(parent.id);
  expect(more).toEqual([]);
  const answered = { return_value: { n: 7, for: account }, status_code: 201 };
  expect(parent).toMatchObject({
    state: "COMPLETED",
    response: { execution_id: child.id, status: "COMPLETED", ...answered },
  });
  const { message } = await calls.ask(getExecution, { execution_id: child.id });
  const place = { parent_execution_id: parent.id, parent_path: "2", root_execution_id: parent.id };
  expect(message).toMatchObject({ source: "SUB_FLOW", type: "ASYNC", linked_account_id: account, ...place });
  expect((await ended("sync")).response).toMatchObject({ return_value: { n: 2 } });
});

test("goes on at once where it does not wait, and a stop leaves what it began alone", async () => {
  const { id, response } = await ended("detached");
  const child = await waitingChildOf(id);
  expect(response).toEqual({ execution_id: child });
  await calls.ask(resumeNode, { execution_id: child, node_id: "2", payload: 1 });
  await untilState(child, "COMPLETED");
});

test.each([
  ["fails", "SUB_FLOW_ERRORED", /^The child says no\.$/],
  ["refused", "SUB_FLOW_REFUSED", /^PAYLOAD_INVALID: .*n/],
  ["sync-grouped", "SUB_FLOW_REFUSED", /^SYNC_NOT_ALLOWED_WITH_GROUP: /],
  ["nobody", "SUB_FLOW_NOT_FOUND", /no-such/],
  ["waits-short", "NODE_TIMED_OUT", /1200 ms/],
])("%s: fails with %s", async (workflow, reason, message) => {
  const parent = await ended(workflow);
  expect(parent).toMatchObject({
    state: "ERRORED",
    error: { reason, message: expect.stringMatching(message), node_id: "2" },
  });
  const children = await childrenOf(parent.id);
  // Each attempt has begun one, and what was waited for in vain is stopped.
  expect(children.map(({ state }: JsonObject) => state)).toEqual(
    workflow === "fails" ? ["ERRORED", "ERRORED"] : workflow === "waits-short" ? ["STOPPED"] : [],
  );
  if (children.length > 0) {
    expect(parent.error.execution_id).toBe(children[0].id);
  }
  if (workflow === "fails") {
    const { message: retried } = await calls.ask(retryNode, { execution_id: parent.id, node_id: "2" });
    const again = Object(retried).execution_id;
    await untilState(again, "ERRORED");
    expect(await childrenOf(again)).toHaveLength(2);
  }
});

test("goes on with the error of the other execution where that is accepted", async () => {
  const { response } = await ended("accepts");
  expect(response).toMatchObject({ status: "ERRORED", return_value: null, error: { message: "The child says no." } });
});

test("stops what it waits for, and what that waits for, when it is stopped in another process", async () => {
  const execution_id = await calls.start({ workflow: "above", payload: {} });
  const middle = await waitingChildOf(execution_id);
  const child = await waitingChildOf(middle);
  const there = executionCalls(beside.url);
  await there.ask(stopExecution, { execution_id });
  for (const stopped of [middle, child]) {
    expect((await calls.ask(getExecution, { execution_id: stopped })).message).toMatchObject({ state: "STOPPED" });
  }
});

test("a child that ends in the instant of its parent's stop is ended once, and neither waits for the other", async () => {
  await Promise.all(
    Array.from({ length: 3 }, async () => {
      const execution_id = await calls.start({ workflow: "waits-long", payload: {} });
      const child = await waitingChildOf(execution_id);
      await Promise.all([
        calls.ask(resumeNode, { execution_id: child, node_id: "2", payload: 1 }),
        calls.ask(stopExecution, { execution_id }),
      ]);
      const { message } = await calls.ask(getExecution, { execution_id: child });
      expect(Object(message).state).toMatch(/COMPLETED|STOPPED/);
      await untilState(execution_id, "STOPPED");
    }),
  );
});

test("ends a recursion at its depth", async () => {
  const root = await ended("recursive");
  expect(root).toMatchObject({ state: "ERRORED", error: { reason: "SUB_FLOW_ERRORED" } });
  let depth = 0;
  let last = root;
  for (let [child] = await childrenOf(root.id); child !== undefined; [child] = await childrenOf(child.id)) {
    depth += 1;
    last = child;
  }
  expect([depth, last.error.reason]).toEqual([20, "SUB_FLOW_TOO_DEEP"]);
  const { message } = await calls.ask(getNodeRun, { execution_id: last.id, node_id: "2" });
  expect(message).toMatchObject({ state: "ERRORED" });
});
