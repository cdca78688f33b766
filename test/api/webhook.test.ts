import type { JsonObject } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { eventually } from "../support/eventually.ts";
import { type Flowcall, productionKey, putWorkflow, startBeside, startFlowcall } from "../support/flowcall.ts";
import { account, type ExecutionCalls, executionCalls, unknownId } from "./execution-calls.ts";

const { getExecution, getExecutionResponse, getNodeRun, resumeNode, stopExecution } = ExecutionService.method;
const publicUrl = "https://flows.example/below";

/** Start → a wait whose URL the Response of a branch beside it tells → what it received. */
function waiting(wait: JsonObject, settings: JsonObject = {}): JsonObject {
  return {
    nodes: [
      { id: "1", start: { api_call: {} } },
      { id: "2", response: { data: '"{{node.Wait.callback_url}}"' } },
      { id: "3", name: "Wait", wait_for_webhook: wait, settings },
      { id: "4", transform: { query: "{{node.Wait.body}}" } },
    ],
    edges: [
      { source: "1", target: "2" },
      { source: "1", target: "3" },
      { source: "3", target: "4" },
    ],
  };
}

/** The URL of each iteration's wait is noted before the wait begins, behind a Delay. */
const inGroup: JsonObject = {
  nodes: [
    { id: "1", start: { api_call: {} } },
    { id: "2", name: "Each", group: { count: "2", concurrency: 2, output: "{{node.5.body}}" } },
    { id: "3", group_id: "2", transform: { query: '"{{node.5.callback_url}}"' } },
    { id: "4", group_id: "2", delay: { seconds: "0.5" } },
    { id: "5", group_id: "2", wait_for_webhook: {} },
    { id: "6", response: { data: "{{node.Each.body}}" } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3", port: "each" },
    { source: "3", target: "4" },
    { source: "4", target: "5" },
    { source: "2", target: "6" },
  ],
};

const schema = { type: "object", properties: { order: { type: "integer" } }, required: ["order"] };
const secret = "s3cret-of-the-sender";

let flowcall: Flowcall;
let beside: Flowcall;
let calls: ExecutionCalls;

beforeAll(async () => {
  flowcall = await startFlowcall({ FLOWCALL_PUBLIC_URL: publicUrl });
  beside = await startBeside(flowcall, { FLOWCALL_PUBLIC_URL: publicUrl });
  calls = executionCalls(flowcall.url);
  for (const [alias, definition] of Object.entries({
    waits: waiting({}),
    checks: waiting({ headers: [{ key: "X-Secret", value: secret }], schema }),
    fails: waiting({ timeout_seconds: "1" }),
    "goes-on": waiting({ timeout_seconds: "{{event.body.seconds}}", on_timeout: "GO_ON" }),
    hides: waiting({}, { hide_node_request: true }),
    "in-group": inGroup,
  })) {
    await putWorkflow(flowcall.url, { alias, definition });
  }
});

afterAll(async () => {
  await beside?.stop();
  await flowcall?.stop();
});

async function started(workflow: string, payload: JsonObject = {}) {
  const execution_id = await calls.start({ workflow, payload });
  const url = await eventually(async () => {
    const { message } = await calls.ask(getExecutionResponse, { execution_id, linked_account_id: account });
    const { response } = Object(message);
    expect(response).toMatch(/^https:\/\/flows\.example\/below\/api\/v1\/webhook\/[\w-]+$/);
    return String(response);
  });
  return { execution_id, path: url.slice(publicUrl.length) };
}

const untilState = (execution_id: string, state: string) => calls.until(getExecution, { execution_id }, { state });

async function send(path: string, body?: unknown, { at = flowcall, ...init }: RequestInit & { at?: Flowcall } = {}) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  const sent = await fetch(`${at.url}${path}`, {
    method: "POST",
    headers,
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...init,
  });
  const text = await sent.text();
  const answer = text === "" ? {} : JSON.parse(text);
  return { status: sent.status, reason: answer.error_code, answer, headers: sent.headers, text };
}

async function outputOf(execution_id: string, node_id = "3") {
  const { message } = await calls.ask(getNodeRun, { execution_id, node_id });
  return Object(message).output;
}

describe("Wait for Webhook", () => {
  test("sleeps until its URL is called, and goes on with body and headers, in whichever process", async () => {
    const { execution_id, path } = await started("waits");
    await untilState(execution_id, "WAITING");
    const sent = await send(path, { order: 7 }, { at: beside });
    expect([sent.status, sent.answer]).toEqual([200, { execution_id, status: "RESUMED" }]);
    await untilState(execution_id, "COMPLETED");
    expect(await outputOf(execution_id)).toMatchObject({
      body: { order: 7 },
      headers: { "content-type": "application/json" },
      timed_out: false,
    });
    expect(await outputOf(execution_id, "4")).toEqual({ order: 7 });
    // A sender's retry, and somebody else.
    expect((await send(path, { order: 7 })).status).toBe(200);
    expect((await send(path, { order: 8 })).reason).toBe("WEBHOOK_ALREADY_RECEIVED");
  });

  test("takes a form, and no body", async () => {
    const form = await started("waits");
    const body = "a=1&b=x%20y&a=2&__proto__=z";
    const headers = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" };
    expect((await send(form.path, undefined, { body, headers })).status).toBe(200);
    await untilState(form.execution_id, "COMPLETED");
    const { body: output } = await outputOf(form.execution_id);
    expect(JSON.stringify(output)).toBe('{"a":["1","2"],"b":"x y","__proto__":"z"}');
    const empty = await started("waits");
    expect((await send(empty.path)).status).toBe(200);
    await untilState(empty.execution_id, "COMPLETED");
    expect(await outputOf(empty.execution_id)).toMatchObject({ body: null });
  });

  test("counts calls that come before the node is reached, each for its iteration", async () => {
    const execution_id = await calls.start({ workflow: "in-group" });
    const urls = await eventually(async () => {
      const found = [await outputOf(execution_id, "2[0]/3"), await outputOf(execution_id, "2[1]/3")];
      expect(found).toEqual([expect.stringContaining("/webhook/"), expect.stringContaining("/webhook/")]);
      return found.map(String);
    });
    const [first = "", second = ""] = urls.map((url) => url.slice(publicUrl.length));
    expect(first).not.toBe(second);
    expect([(await send(second, { n: 2 })).status, (await send(first, { n: 1 })).status]).toEqual([200, 200]);
    await calls.until(
      getExecutionResponse,
      { execution_id, linked_account_id: account },
      { response: [{ n: 1 }, { n: 2 }], status: "COMPLETED" },
    );
  });

  test("takes one of two calls that come at once at two processes", async () => {
    const { execution_id, path } = await started("waits");
    const sent = await Promise.all([send(path, { n: 1 }), send(path, { n: 2 }, { at: beside })]);
    expect(sent.map(({ status }) => status).sort()).toEqual([200, 409]);
    await untilState(execution_id, "COMPLETED");
    const winner = sent.findIndex(({ status }) => status === 200) + 1;
    expect(await outputOf(execution_id)).toMatchObject({ body: { n: winner } });
  });

  test("stays waiting for a call with the wrong header or body, and shows the header to nobody", async () => {
    const { execution_id, path } = await started("checks");
    const json = { "content-type": "application/json" };
    const headers = { ...json, "x-secret": secret };
    expect((await send(path, { order: 1 })).reason).toBe("WEBHOOK_HEADERS_WRONG");
    expect((await send(path, { order: 1 }, { headers: { ...json, "x-secret": `${secret}x` } })).status).toBe(401);
    const broken = await send(path, { order: "seven" }, { headers });
    expect([broken.status, broken.answer.details.violations]).toMatchObject([400, [{ field: "payload.order" }]]);
    await untilState(execution_id, "WAITING");
    expect((await send(path, { order: 1 }, { headers })).status).toBe(200);
    await untilState(execution_id, "COMPLETED");
    const { message } = await calls.ask(getExecution, { execution_id });
    expect(JSON.stringify([message, await outputOf(execution_id)])).not.toContain(secret);
  });

  test("refuses what is no call of a URL that it made", async () => {
    const { path } = await started("waits");
    const other = await started("waits");
    const token = path.slice(path.lastIndexOf("/") + 1);
    const bytes = Buffer.from(token, "base64url");
    const mixed = Buffer.concat([
      Buffer.from(other.path.slice(path.lastIndexOf("/") + 1), "base64url").subarray(0, -16),
      bytes.subarray(-16),
    ]);
    const elsewhere = Buffer.concat([bytes.subarray(0, -17), Buffer.from("4"), bytes.subarray(-16)]);
    const bad = [token.slice(0, -1), `${token}A`, `${token}=`, "", "x".repeat(4_000), mixed, elsewhere]
      .map((one) => (typeof one === "string" ? one : one.toString("base64url")))
      .map((one) => send(`/api/v1/webhook/${one}`, {}));
    expect((await Promise.all(bad)).map(({ status }) => status)).toEqual(bad.map(() => 404));
    const get = await send(path, undefined, { method: "GET" });
    expect([get.status, get.headers.get("allow")]).toEqual([405, "POST"]);
    const text = await send(path, undefined, { body: "x", headers: { "content-type": "text/plain" } });
    expect(text.status).toBe(415);
    const json = { "content-type": "application/json" };
    expect((await send(path, undefined, { body: '{"a":1,"a":2}', headers: json })).status).toBe(400);
    const large = await send(path, "x".repeat(1024 * 1024 + 1));
    expect([large.status, large.reason]).toEqual([413, "PAYLOAD_TOO_LARGE"]);
    // Together with its headers it would be more than an output may have: nobody could be told later.
    expect((await send(path, "x".repeat(1024 * 1024 - 20))).status).toBe(413);
    expect((await send(path, {})).status).toBe(200);
  });

  test("takes ten calls a second", async () => {
    const { path } = await started("checks");
    const sent = await Promise.all(Array.from({ length: 12 }, () => send(path, {})));
    expect(sent.filter(({ status }) => status === 401)).toHaveLength(10);
    const [limited] = sent.filter(({ status }) => status === 429);
    expect([limited?.answer.details.metadata.limit, limited?.headers.get("retry-after")]).toEqual([
      "webhook_calls",
      "1",
    ]);
  });

  test("ends when nobody calls in time, by a failure or with nothing, and then takes no call", async () => {
    const [fails, goesOn] = [await started("fails"), await started("goes-on", { seconds: 1 })];
    await calls.until(getExecution, { execution_id: fails.execution_id }, { state: "ERRORED" });
    const { message } = await calls.ask(getExecution, { execution_id: fails.execution_id });
    expect(message).toMatchObject({ error: { reason: "WEBHOOK_TIMED_OUT", node_id: "3" } });
    await untilState(goesOn.execution_id, "COMPLETED");
    expect(await outputOf(goesOn.execution_id)).toEqual({ body: null, headers: {}, timed_out: true });
    for (const { path } of [fails, goesOn]) {
      expect((await send(path, {})).reason).toBe("WAIT_ENDED");
    }
  });

  test("takes no call for an execution that was stopped", async () => {
    const { execution_id, path } = await started("waits");
    await calls.ask(stopExecution, { execution_id });
    const sent = await send(path, {});
    expect([sent.status, sent.reason]).toEqual([410, "WAIT_ENDED"]);
  });

  test("keeps what a hidden node was told encrypted, and shows it to nobody", async () => {
    const canary = "canary-of-the-caller";
    const { execution_id, path } = await started("hides");
    await untilState(execution_id, "WAITING");
    expect((await send(path, { canary })).status).toBe(200);
    const kept = await flowcall.database.query(`select value from signal where execution_id = '${execution_id}'`);
    expect(kept.rows).toHaveLength(1);
    expect(JSON.stringify(kept.rows)).not.toContain(canary);
    await untilState(execution_id, "COMPLETED");
    expect(await outputOf(execution_id)).toBe("[REDACTED]");
  });

  test("is resumed by ResumeNode, on every protocol, by whom may see the execution", async () => {
    const { execution_id } = await started("checks");
    const fields = { execution_id, node_id: "3", payload: { order: 3 } };
    const refusals = [
      [{ ...fields, execution_id: unknownId }, "RESOURCE_NOT_FOUND"],
      [{ ...fields, linked_account_id: "jane@acme.io" }, "RESOURCE_NOT_FOUND"],
      [{ ...fields, node_id: "4" }, "RESOURCE_NOT_FOUND"],
      [{ ...fields, node_id: "3[0]" }, "RESOURCE_NOT_FOUND"],
      [{ ...fields, payload: { order: "x" } }, "PAYLOAD_INVALID"],
    ] as const;
    for (const [wrong, reason] of refusals) {
      expect([wrong, (await calls.ask(resumeNode, wrong)).reason]).toEqual([wrong, reason]);
    }
    const { protocols } = calls;
    for (const { name, call } of protocols) {
      const foreign = await call({ method: resumeNode, fields, key: productionKey });
      expect([name, foreign.reason]).toEqual([name, "RESOURCE_NOT_FOUND"]);
    }
    await calls.check(resumeNode, fields, { execution_id, status: "RESUMED" });
    await untilState(execution_id, "COMPLETED");
    expect(await outputOf(execution_id)).toEqual({ body: { order: 3 }, headers: {}, timed_out: false });
    await calls.checkRefused(
      resumeNode,
      { ...fields, payload: { order: 4 } },
      { status: 409, code: "AlreadyExists", reason: "WEBHOOK_ALREADY_RECEIVED" },
    );
  });

  test("gives a synchronous caller its answer, however it waits", async () => {
    const { method } = ExecutionService;
    const call = { workflow: "goes-on", linked_account_id: account, payload: { seconds: 3 }, sync_execution: true };
    const { message } = await calls.ask(method.executeWorkflow, call);
    expect(message).toMatchObject({ return_value: expect.stringContaining("/webhook/") });
  });

  test("is not published where nobody could know the URL", async () => {
    const plain = await startBeside(flowcall);
    try {
      const publish = WorkflowService.method.publishWorkflow;
      const refused = await executionCalls(plain.url).ask(publish, { workflow: "waits" });
      expect([refused.reason, refused.text]).toEqual([
        "WORKFLOW_INVALID",
        expect.stringContaining("FLOWCALL_PUBLIC_URL"),
      ]);
    } finally {
      await plain.stop();
    }
  });

  test.for([
    [{ timeout_seconds: "0" }, "WAIT_INVALID"],
    [{ timeout_seconds: "2592001" }, "WAIT_INVALID"],
    [{ headers: [{ key: "x a", value: "1" }] }, "HEADER_INVALID"],
    [{ headers: [{ key: "x", value: "{{event.body.x}}" }] }, "HEADER_INVALID"],
    [
      {
        headers: [
          { key: "x", value: "1" },
          { key: "X", value: "2" },
        ],
      },
      "HEADER_INVALID",
    ],
    [{ schema: { type: "objekt" } }, "SCHEMA_INVALID"],
  ] as const)("reports %j", async ([wait, reason]) => {
    const [problem] = await problemsOf(waiting(wait as unknown as JsonObject));
    expect(problem).toMatchObject({ reason, node_id: "3" });
  });

  test("reports a URL that is read outside of the node's Group", async () => {
    const nodes = Array.isArray(inGroup["nodes"]) ? inGroup["nodes"] : [];
    const response = { id: "6", response: { data: '"{{node.5.callback_url}}"' } };
    const problems = await problemsOf({ ...inGroup, nodes: [...nodes.slice(0, -1), response] });
    expect(problems).toMatchObject([{ reason: "CALLBACK_URL_ELSEWHERE", node_id: "6" }]);
  });
});

async function problemsOf(definition: JsonObject) {
  const { message } = await calls.ask(WorkflowService.method.validateDefinition, { definition });
  return Object(message).errors as readonly JsonObject[];
}
