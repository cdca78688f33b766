import type { ServerResponse } from "node:http";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, test } from "vitest";
import { failureLines } from "../../src/cli/execution/failure-text.ts";
import { ExecutionService, NodeRunSchema } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { type SeenRequest, serve } from "../engine/http/outside.ts";
import { productionKey, putWorkflow, testKey } from "../support/flowcall.ts";
import { account, executionCalls, invalid, notFound, payload, unknownId } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { getExecution, getExecutionResponse, getNodeRun, rerunExecution, retryNode } = ExecutionService.method;
const { saveDraft, publishWorkflow } = WorkflowService.method;
const anId = expect.stringMatching(/^[0-9a-f]{24}$/);

const flowcall = await useFlowcall({ FLOWCALL_EGRESS_ALLOW: "127.0.0.0/8" });
const calls = executionCalls(flowcall.url);

beforeAll(async () => {
  await putWorkflow(flowcall.url, {
    alias: "skips-then-fails",
    definition: {
      nodes: [
        { id: "1", start: { api_call: {} } },
        {
          id: "careful",
          settings: { skip_on_error: true },
          http: { method: "POST", url: "{{event.body.base}}/careful" },
        },
        { id: "late", http: { method: "POST", url: "{{event.body.base}}/late" } },
      ],
      edges: [
        { source: "1", target: "careful" },
        { source: "careful", target: "late" },
      ],
    },
  });
});

/** Answers 500 to requests for a path until it was asked as often as that, and 200 from then on. */
async function serveFailing(failures: Readonly<Record<string, number>>) {
  const counts = new Map<string, number>();
  return await serve((request: { url?: string | undefined }, response: ServerResponse) => {
    const path = request.url ?? "";
    const count = (counts.get(path) ?? 0) + 1;
    counts.set(path, count);
    response.writeHead(count <= (failures[path] ?? 0) ? 500 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify({ path, count }));
  });
}

function pathsOf(requests: readonly SeenRequest[]): readonly string[] {
  return requests.map(({ path }) => path).sort();
}

function idOf(message: unknown): string {
  return String(Object(message).execution_id);
}

async function publish(workflow: string, definition: JsonObject): Promise<void> {
  await calls.ask(saveDraft, { workflow, definition });
  await calls.ask(publishWorkflow, { workflow });
}

async function ended(executionId: string) {
  const { message } = await calls.ask(getExecutionResponse, {
    execution_id: executionId,
    linked_account_id: account,
    wait: 30,
  });
  return message;
}

describe("a rerun", () => {
  test("is a new execution with the same payload, on every protocol", async () => {
    const origin = await calls.start({ tag: "blue", sync_execution: true });
    for (const { name, call } of calls.protocols) {
      const answer = await call({ method: rerunExecution, key: testKey, fields: { execution_id: origin } });
      expect([name, answer.message]).toEqual([name, { execution_id: anId }]);
      const id = idOf(answer.message);
      expect(id).not.toBe(origin);
      expect(await ended(id)).toMatchObject({ status: "COMPLETED", response: { success: "true" } });
      const { message } = await calls.ask(getExecution, { execution_id: id });
      expect(message).toMatchObject({ source: "RERUN", rerun_of: origin, type: "ASYNC", tag: "blue", payload });
    }
  });

  test("may run another version", async () => {
    const definition = (data: string) => ({
      nodes: [
        { id: "1", start: { api_call: {} } },
        { id: "2", response: { data } },
      ],
      edges: [{ source: "1", target: "2" }],
    });
    await putWorkflow(flowcall.url, { alias: "twice", definition: definition("1") });
    const origin = await calls.start({ workflow: "twice", sync_execution: true });
    const { message } = await calls.ask(getExecution, { execution_id: origin });
    await publish(Object(message).workflow_id, definition("2"));
    const same = await calls.ask(rerunExecution, { execution_id: origin });
    const other = await calls.ask(rerunExecution, { execution_id: origin, workflow_version: 2 });
    expect(await ended(idOf(same.message))).toMatchObject({ response: 1 });
    expect(await ended(idOf(other.message))).toMatchObject({ response: 2 });
    const refusal = { status: 404, code: "NotFound", reason: "WORKFLOW_VERSION_NOT_FOUND" };
    await calls.checkRefused(rerunExecution, { execution_id: origin, workflow_version: 3 }, refusal);
  });

  test("is refused for an execution that the caller has not", async () => {
    const origin = await calls.start({ sync_execution: true });
    await calls.checkRefused(rerunExecution, { execution_id: unknownId }, notFound);
    await calls.checkRefused(rerunExecution, { execution_id: origin }, notFound, { key: productionKey });
    const fields = { execution_id: origin, linked_account_id: "jane@acme.io" };
    await calls.checkRefused(rerunExecution, fields, notFound);
    await calls.checkRefused(rerunExecution, { execution_id: origin, workflow_version: 0 }, invalid);
  });
});

describe("a retry of a node", () => {
  const http = (id: string, path: string) => ({ id, http: { method: "POST", url: `{{event.body.base}}${path}` } });

  beforeAll(async () => {
    await putWorkflow(flowcall.url, {
      alias: "three-calls",
      definition: {
        nodes: [
          { id: "1", start: { api_call: {} } },
          http("before", "/before"),
          http("beside", "/beside"),
          http("fails", "/fails"),
          http("after", "/after"),
          { id: "9", response: { data: '{"fails": {{node.fails.body}}, "after": {{node.after.body}}}' } },
        ],
        edges: [
          { source: "1", target: "before" },
          { source: "1", target: "beside" },
          { source: "before", target: "fails" },
          { source: "beside", target: "fails" },
          { source: "fails", target: "after" },
          { source: "after", target: "9" },
        ],
      },
    });
    for (const [alias, more] of [
      ["calls-in-group", {}],
      ["calls-in-partial-group", { allow_partial_success: true }],
    ] as const) {
      const group = { array: "{{event.body.items}}", output: "{{node.4.body}}", concurrency: 1, ...more };
      await putWorkflow(flowcall.url, {
        alias,
        definition: {
          nodes: [
            { id: "1", start: { api_call: {} } },
            { id: "2", group },
            { ...http("3", "/first/{{node.2.body.array_item}}"), group_id: "2" },
            { ...http("4", "/second/{{node.2.body.array_item}}"), group_id: "2" },
            { id: "5", response: { data: "{{node.2.body}}" } },
          ],
          edges: [
            { source: "1", target: "2" },
            { source: "2", target: "3", port: "each" },
            { source: "3", target: "4" },
            { source: "2", target: "5", port: "next" },
          ],
        },
      });
    }
  });

  test("runs it and what is behind it again, and nothing else, on every protocol", async () => {
    for (const { name, call } of calls.protocols) {
      const upstream = await serveFailing({ "/fails": 1 });
      const base = `http://127.0.0.1:${upstream.port}`;
      const origin = await calls.start({ workflow: "three-calls", payload: { base } });
      expect(await ended(origin)).toMatchObject({ status: "ERRORED" });
      const fields = { execution_id: origin, node_id: "fails" };
      const answer = await call({ method: retryNode, key: testKey, fields });
      expect([name, answer.message]).toEqual([name, { execution_id: anId }]);
      const id = idOf(answer.message);
      expect(await ended(id)).toMatchObject({
        status: "COMPLETED",
        response: { fails: { path: "/fails", count: 2 }, after: { path: "/after", count: 1 } },
      });
      expect(pathsOf(upstream.requests)).toEqual(["/after", "/before", "/beside", "/fails", "/fails"]);
      const { message } = await calls.ask(getExecution, { execution_id: id });
      expect(message).toMatchObject({ source: "RETRY", retry_of: origin });
    }
  });

  test("in a Group goes on with the iterations that came to a good end", async () => {
    const upstream = await serveFailing({ "/second/b": 1 });
    const base = `http://127.0.0.1:${upstream.port}`;
    const origin = await calls.start({ workflow: "calls-in-group", payload: { base, items: ["a", "b", "c"] } });
    expect(await ended(origin)).toMatchObject({ status: "ERRORED" });
    const before = upstream.requests.length;
    const retried = await calls.ask(retryNode, { execution_id: origin, node_id: "2[1]/4" });
    expect(await ended(idOf(retried.message))).toMatchObject({
      status: "COMPLETED",
      response: [{ path: "/second/a" }, { path: "/second/b", count: 2 }, { path: "/second/c" }],
    });
    const sent = pathsOf(upstream.requests.slice(before));
    expect(sent).toContain("/second/b");
    expect(sent).not.toContain("/first/a");
    expect(sent).not.toContain("/first/b");
  });

  test("of a Group that let failures pass runs again what failed inside, and what is behind it", async () => {
    const upstream = await serveFailing({ "/second/b": 1 });
    const base = `http://127.0.0.1:${upstream.port}`;
    const payload = { base, items: ["a", "b", "c"] };
    const origin = await calls.start({ workflow: "calls-in-partial-group", payload });
    expect(await ended(origin)).toMatchObject({ status: "COMPLETED", response: [{}, null, {}] });
    const before = upstream.requests.length;
    const retried = idOf((await calls.ask(retryNode, { execution_id: origin, node_id: "2" })).message);
    expect(await ended(retried)).toMatchObject({
      status: "COMPLETED",
      response: [
        { path: "/second/a", count: 1 },
        { path: "/second/b", count: 2 },
        { path: "/second/c", count: 1 },
      ],
    });
    expect(pathsOf(upstream.requests.slice(before))).toEqual(["/second/b"]);
    const refusal = { status: 400, code: "FailedPrecondition", reason: "NODE_DID_NOT_FAIL" };
    await calls.checkRefused(retryNode, { execution_id: retried, node_id: "2" }, refusal);
  });

  test("is refused for a node that did not fail, that has no record, and while the execution goes on", async () => {
    const upstream = await serveFailing({ "/fails": 1 });
    const origin = await calls.start({
      workflow: "three-calls",
      payload: { base: `http://127.0.0.1:${upstream.port}` },
    });
    await ended(origin);
    const failedPrecondition = { status: 400, code: "FailedPrecondition" };
    const fields = { execution_id: origin, node_id: "before" };
    await calls.checkRefused(retryNode, fields, { ...failedPrecondition, reason: "NODE_DID_NOT_FAIL" });
    for (const node_id of ["after", "nobody", "fails[0]", "fails/1", "fails#1"]) {
      await calls.checkRefused(retryNode, { execution_id: origin, node_id }, notFound);
    }
    await calls.checkRefused(retryNode, { ...fields, linked_account_id: "jane@acme.io" }, notFound);
    await calls.checkRefused(retryNode, fields, notFound, { key: productionKey });
    await calls.checkRefused(retryNode, { execution_id: unknownId, node_id: "fails" }, notFound);
    const running = await calls.start({ workflow: "slow-task" });
    const early = { execution_id: running, node_id: "2" };
    await calls.checkRefused(retryNode, early, { ...failedPrecondition, reason: "EXECUTION_NOT_ENDED" });
  });

  test("is refused through the whole chain of retries, even where its beginning is not kept any more", async () => {
    const upstream = await serveFailing({ "/careful": 2, "/late": 3 });
    const base = `http://127.0.0.1:${upstream.port}`;
    const call = { workflow: "skips-then-fails", payload: { base } };
    const retry = async (execution_id: string) => {
      await ended(execution_id);
      return idOf((await calls.ask(retryNode, { execution_id, node_id: "late" })).message);
    };
    const sync = await calls.start({ ...call, sync_execution: true });
    const first = await retry(sync);
    const second = await retry(first);
    await ended(second);
    const refusal = { status: 400, code: "FailedPrecondition", reason: "NODE_RETRY_NOT_ALLOWED" };
    for (const execution_id of [sync, first, second]) {
      await calls.checkRefused(retryNode, { execution_id, node_id: "careful" }, refusal);
    }
    // A rerun has taken nothing over.
    const rerun = idOf((await calls.ask(rerunExecution, { execution_id: second })).message);
    await ended(rerun);
    const { message } = await calls.ask(getNodeRun, { execution_id: rerun, node_id: "careful" });
    expect(message).toMatchObject({ state: "ERRORED_AND_SKIPPED" });
    const careful = { execution_id: rerun, node_id: "careful" };
    const retried = await calls.ask(retryNode, careful);
    expect(await ended(idOf(retried.message))).toMatchObject({ status: "COMPLETED" });
    await flowcall.database.query(`delete from execution where id = '${sync}'`);
    await calls.checkRefused(retryNode, { execution_id: second, node_id: "careful" }, refusal);
  });

  test("is refused where a synchronous execution went on without the node, and allowed where an asynchronous one did", async () => {
    const upstream = await serveFailing({ "/": 2 });
    const call = { workflow: "careful-call", payload: { url: `http://127.0.0.1:${upstream.port}/`, data: {} } };
    const sync = await calls.start({ ...call, sync_execution: true });
    const refusal = { status: 400, code: "FailedPrecondition", reason: "NODE_RETRY_NOT_ALLOWED" };
    await calls.checkRefused(retryNode, { execution_id: sync, node_id: "2" }, refusal);
    const async = await calls.start(call);
    await ended(async);
    const { message } = await calls.ask(getNodeRun, { execution_id: async, node_id: "2" });
    expect(message).toMatchObject({ state: "ERRORED_AND_SKIPPED" });
    const retried = await calls.ask(retryNode, { execution_id: async, node_id: "2" });
    expect(await ended(idOf(retried.message))).toMatchObject({ response: { status: 200 } });
  });
});

test("of a call that failed there are the request, each attempt, the answer and what the templates gave", async () => {
  const { port } = await serveFailing({ "/charge?token=tok-canary": 9 });
  const url = `http://127.0.0.1:${port}`;
  await putWorkflow(flowcall.url, {
    alias: "charge",
    definition: {
      nodes: [
        { id: "1", start: { api_call: {} } },
        {
          id: "2",
          name: "Charge",
          settings: { retry: { max_attempts: 2, delay_ms: 20 } },
          http: {
            method: "POST",
            url: "{{event.body.base}}/charge",
            query: [{ key: "token", value: "{{event.body.token}}" }],
            headers: [{ key: "Authorization", value: "Bearer {{event.body.token}}" }],
            json: '{ "amount": {{event.body.amount}} }',
          },
        },
      ],
      edges: [{ source: "1", target: "2" }],
    },
  });
  const payload = { base: url, amount: 12, token: "tok-canary" };
  const execution_id = await calls.start({ workflow: "charge", payload, sync_execution: true });
  const { message } = await calls.ask(getNodeRun, { execution_id, node_id: "2" });
  const attempt = { start_time: expect.any(String), end_time: expect.any(String), reason: "HTTP_STATUS", status: 500 };
  const text = "The server answered with the status 500.";
  expect(message).toMatchObject({
    state: "ERRORED",
    attempts: 2,
    attempt_list: [
      { number: 1, ...attempt, message: text },
      { number: 2, ...attempt, message: text, delay_ms: "20" },
    ],
    request: {
      method: "POST",
      url: `${url}/charge?token=[REDACTED]`,
      headers: [
        { key: "Authorization", value: "[REDACTED]" },
        { key: "Content-Type", value: "application/json" },
        { key: "Idempotency-Key", value: `${execution_id}:2:1` },
      ],
      body: '{"amount":12}',
    },
    error: { status: 500, body: { count: 2 } },
    input: { "event.body.amount": 12 },
  });
  // What is not a list of everything tells it of one node alone.
  const whole = await calls.ask(getExecution, { execution_id });
  expect(Object(whole.message).node_runs[1]).not.toHaveProperty("request");
  // The JSON of a node run.
  const lines = failureLines(fromJson(NodeRunSchema, message as JsonObject), message as JsonObject);
  expect(lines.map((line) => line.replace(/\d{4}-\S+Z {2}\S+/, "TIME"))).toEqual([
    `request   POST ${url}/charge?token=[REDACTED]`,
    "          Authorization: [REDACTED]",
    "          Content-Type: application/json",
    `          Idempotency-Key: ${execution_id}:2:1`,
    '          {"amount":12}',
    "attempt 1 TIME  HTTP_STATUS 500",
    "attempt 2 TIME  HTTP_STATUS 500 after a delay of 20 ms",
    'answer    500 {"path":"/charge?token=tok-canary","count":2}',
    expect.stringMatching(/^inputs {4}\{/),
  ]);
});
