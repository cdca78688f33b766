import { createHmac } from "node:crypto";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import type { JsonObject } from "@bufbuild/protobuf";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { WebhookService } from "../../src/gen/flowcall/v1/webhook_pb.ts";
import { eventually } from "../support/eventually.ts";
import { type Flowcall, putWorkflow, startFlowcall } from "../support/flowcall.ts";
import { account, type ExecutionCalls, executionCalls } from "./execution-calls.ts";

const { executeWorkflow, stopExecution } = ExecutionService.method;
const service = WebhookService.method;

type Received = { readonly path: string; readonly headers: IncomingHttpHeaders; readonly text: string };

const none: Received = { path: "", headers: {}, text: "" };
const received: Received[] = [];
/** The statuses of the next answers by path; 200 where there is none. */
const answers = new Map<string, number[]>();

const receiver = createServer((request, response) => {
  let text = "";
  request.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  request.on("end", () => {
    const path = request.url ?? "";
    received.push({ path, headers: request.headers, text });
    if (path === "/hangs") {
      return;
    }
    response.writeHead(answers.get(path)?.shift() ?? 200).end("thanks");
  });
});

const start = { id: "1", start: { api_call: {} } };
const workflows: Readonly<Record<string, JsonObject>> = {
  answers: {
    nodes: [start, { id: "2", response: { data: '"done"' } }],
    edges: [{ source: "1", target: "2" }],
  },
  fails: {
    nodes: [start, { id: "2", terminate: { result: "ERROR", message: "No." } }],
    edges: [{ source: "1", target: "2" }],
  },
  waits: { nodes: [start, { id: "2", delay: { seconds: "600" } }], edges: [{ source: "1", target: "2" }] },
};

let flowcall: Flowcall;
let calls: ExecutionCalls;
let base: string;
const secrets = new Map<string, string>();

beforeAll(async () => {
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  flowcall = await startFlowcall({ FLOWCALL_EGRESS_ALLOW: "127.0.0.1" });
  calls = executionCalls(flowcall.url);
  for (const [alias, definition] of Object.entries(workflows)) {
    await putWorkflow(flowcall.url, { alias, definition });
  }
  // Each takes as long as processes may rely on what they knew before.
  const all = ["COMPLETED", "ERRORED", "STOPPED", "TIMED_OUT"];
  await Promise.all([
    put("all", { states: all, includes_response: true, has_cobalt_signature: true, headers: { "x-own": "mine" } }),
    put("failures", { states: ["ERRORED"] }),
    put("named", { states: [] }),
    put("hangs", { states: ["COMPLETED"] }),
    put("gone", { states: ["STOPPED"] }),
  ]);
});

afterAll(async () => {
  await flowcall?.stop();
  receiver.closeAllConnections();
  receiver.close();
});

async function put(endpoint_id: string, fields: JsonObject = {}) {
  const { message } = await calls.ask(service.putWebhookEndpoint, {
    endpoint_id,
    url: `${base}/${endpoint_id}`,
    ...fields,
  });
  const { endpoint, secret } = Object(message);
  expect(endpoint).toMatchObject({ id: endpoint_id, is_enabled: true });
  secrets.set(endpoint_id, secret ?? secrets.get(endpoint_id));
}

/** What a path was told of an execution. */
async function toldOf(path: string, id: unknown, count = 1): Promise<readonly Received[]> {
  return await eventually(() => {
    const told = received.filter((one) => one.path === `/${path}` && JSON.parse(one.text).execution_id === id);
    expect(told).toHaveLength(count);
    return told;
  });
}

const execute = async (workflow: string, fields: JsonObject = {}) => {
  const { message } = await calls.ask(executeWorkflow, {
    workflow,
    payload: {},
    linked_account_id: account,
    ...fields,
  });
  return Object(message).execution_id;
};

const deliveriesOf = async (endpoint_id: string) =>
  Object((await calls.ask(service.listWebhookDeliveries, { endpoint_id })).message).deliveries ?? [];

test("tells of each end once, signed as Standard Webhooks are, also of one that ran in memory alone", async () => {
  const ids = [await execute("answers"), await execute("answers", { sync_execution: true })];
  for (const id of ids) {
    const [{ headers, text } = none] = await toldOf("all", id);
    const secret = secrets.get("all") ?? "";
    const payload = new Webhook(secret).verify(text, headers as Record<string, string>);
    expect(payload).toMatchObject({
      id: headers["webhook-id"],
      type: "execution.completed",
      event: "Workflow Completed",
      status: "COMPLETED",
      state: "COMPLETED",
      response: "done",
      workflow_name: "answers",
      environment: "test",
      source: "API_CALL",
    });
    expect(headers["x-own"]).toBe("mine");
    expect(headers["x-cobalt-signature"]).toBe(createHmac("sha256", secret).update(text).digest("hex"));
  }
  expect(received.filter(({ path }) => path === "/failures" || path === "/named")).toEqual([]);
});

test("tells of failures, stops and named calls, whoever ends the execution", async () => {
  const failed = await execute("fails", { sync_execution: true });
  const [{ text } = none] = await toldOf("failures", failed);
  expect(JSON.parse(text)).toMatchObject({
    type: "execution.errored",
    error: { reason: "TERMINATED", message: "No." },
  });
  const stopped = await execute("waits");
  await calls.ask(stopExecution, { execution_id: stopped });
  expect((await toldOf("all", stopped)).map(({ text }) => JSON.parse(text).state)).toEqual(["STOPPED"]);
  const named = await execute("answers", { webhook: "named" });
  await toldOf("named", named);
  const { reason } = await calls.ask(executeWorkflow, {
    ...{ workflow: "answers", payload: {}, linked_account_id: account, webhook: "nobody" },
  });
  expect(reason).toBe("RESOURCE_NOT_FOUND");
});

test("tries again under the same id, lists what came of it, and delivers again on demand; 410 disables", async () => {
  answers.set("/named", [500]);
  const id = await execute("answers", { webhook: "named" });
  await toldOf("named", id);
  const failed = await eventually(async () => {
    const found = (await deliveriesOf("named")).find((one: JsonObject) => one["execution_id"] === id);
    expect(found).toMatchObject({ attempts: 1, status: 500, is_delivered: false, answer: "thanks" });
    expect(found.next_time).toBeDefined();
    return found;
  });
  await calls.ask(service.redeliverWebhook, { endpoint_id: "named", delivery_id: failed.id });
  const told = await toldOf("named", id, 2);
  expect(new Set(told.map(({ headers }) => headers["webhook-id"]))).toEqual(new Set([failed.id]));
  await eventually(async () => {
    const found = (await deliveriesOf("named")).find((one: JsonObject) => one["id"] === failed.id);
    expect(found).toMatchObject({ is_delivered: true, status: 200 });
  });
  answers.set("/gone", [410]);
  const stopped = await execute("waits");
  await calls.ask(stopExecution, { execution_id: stopped });
  await eventually(async () => {
    const { message } = await calls.ask(service.getWebhookEndpoint, { endpoint_id: "gone" });
    expect(message).toMatchObject({ is_enabled: false, disable_reason: expect.stringContaining("410") });
  });
});

test("signs by both secrets after a rotation, and answers a secret once", async () => {
  const before = secrets.get("named") ?? "";
  const { message } = await calls.ask(service.rotateWebhookSecret, { endpoint_id: "named" });
  const { secret } = Object(message);
  const id = await execute("answers", { webhook: "named" });
  const [{ headers, text } = none] = await toldOf("named", id);
  for (const one of [before, secret]) {
    expect(new Webhook(one).verify(text, headers as Record<string, string>)).toBeDefined();
  }
  const { text: shown } = await calls.ask(service.getWebhookEndpoint, { endpoint_id: "all" }).then((answer) => ({
    text: JSON.stringify(answer),
  }));
  expect(shown).not.toContain("mine");
  expect(shown).not.toContain("whsec_");
});

test("refuses URLs and headers that can never work, and calls no private address", async () => {
  const refused = async (fields: JsonObject) => {
    const request = { endpoint_id: "bad", url: "https://example.com", ...fields };
    return (await calls.ask(service.putWebhookEndpoint, request)).reason;
  };
  expect([
    await refused({ url: "http://example.com/" }),
    await refused({ url: "ftp://example.com/" }),
    await refused({ url: "https://me:secret@example.com/" }),
    await refused({ headers: { "webhook-id": "mine" } }),
    await refused({ states: ["RUNNING"] }),
  ]).toEqual(Array.from({ length: 5 }, () => "VALIDATION_ERROR"));
  await put("private", { url: "https://10.1.2.3/hook" });
  const id = await execute("answers", { webhook: "private" });
  await eventually(async () => {
    const found = (await deliveriesOf("private")).find((one: JsonObject) => one["execution_id"] === id);
    expect(found).toMatchObject({ attempts: 1, error: expect.stringContaining("EGRESS_REFUSED") });
  });
});
