import { request as httpRequest } from "node:http";
import { connect, type IncomingHttpHeaders } from "node:http2";
import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../src/domain/clock.ts";
import type { Invoke } from "../../src/domain/http/call.ts";
import { defaultLimits } from "../../src/domain/limits.ts";
import { RequestError } from "../../src/domain/request-error.ts";
import { createGateway } from "../../src/gateway/gateway.ts";
import { ExecutionResultSchema } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { Scope } from "../../src/gen/flowcall/v1/options_pb.ts";
import { DraftSchema, WorkflowSchema } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { type GatewayServer, serveHandler } from "./gateway-server.ts";
import { madeService } from "./made-service.ts";
import {
  type Answer,
  answer,
  execute,
  json,
  noStream,
  RecordingGateway,
  replies,
  spaced,
} from "./recording-gateway.ts";

/** What every gateway needs, whatever it serves. */
const made = { invokeStream: noStream, limits: defaultLimits, clock: systemClock, report: () => undefined };

const gateway = new RecordingGateway();
let server: GatewayServer;

beforeAll(async () => {
  server = await gateway.serve();
});

afterAll(() => server[Symbol.asyncDispose]());

function check(path: string, init: RequestInit = {}, reply: Invoke = async () => answer()): Promise<Answer> {
  gateway.invoke = reply;
  return gateway.fetch(server, path, init);
}

describe("a call", () => {
  test("of the page maps the workflow from the path and the payload from the body", async () => {
    const body = '{\n"Task Name":"Sample task",\n"Created_at":"2024-2-1",\n"Assigned_to":"John Doe"\n}';
    const { status, text, headers } = await check(execute, { method: "POST", headers: json, body });
    expect(status).toBe(200);
    expect(text).toBe(`{"return_value":${spaced},"execution_id":"66e404464f475f36c0c95b5d"}`);
    expect(Object.fromEntries(headers)).toMatchObject({
      "content-type": "application/json",
      "content-length": String(text.length),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "x-request-id": "request-1",
    });
    expect(gateway.asked?.[0]).toBe("ExecuteWorkflow");
    expect(gateway.asked?.[1]).toEqual({
      $typeName: "flowcall.v1.ExecuteWorkflowRequest",
      linkedAccountId: "",
      workflow: "create-task",
      payload: { "Task Name": "Sample task", Created_at: "2024-2-1", Assigned_to: "John Doe" },
    });
  });

  test("sends the headers that the handler set, on a refusal too", async () => {
    const replied = await check(execute, { method: "POST" }, async (_method, _request, call) => {
      call.replyHeaders.set("x-execution-id", "1");
      return answer();
    });
    expect(replied.headers.get("x-execution-id")).toBe("1");
    const refused = await check(execute, { method: "POST" }, async (_method, _request, call) => {
      call.replyHeaders.set("x-execution-id", "1");
      throw new RequestError("QUEUE_FULL", "Too many executions wait.", { retryAfterSeconds: 3 });
    });
    expect(refused.status).toBe(429);
    expect(refused.headers.get("x-execution-id")).toBe("1");
    expect(refused.headers.get("retry-after")).toBe("3");
  });

  test("is answered as the table says", async () => {
    const result = await check("/api/v1/execution/1/response", {}, async () => create(ExecutionResultSchema));
    expect(result.status).toBe(500);
    expect(result.headers.get("x-from-table")).toBe("yes");
    expect(result.text).toBe(
      '{"status_code":500,"http_error_type":"INTERNAL_SERVER_ERROR","error_code":"WORKFLOW_ERRORED",' +
        '"message":"It failed.","request_id":"request-1","execution_id":"1"}',
    );
    const created = await check("/api/v1/workflow/x", {}, async () => create(WorkflowSchema, { id: "1" }));
    expect(created).toMatchObject({
      status: 201,
      text: '{"id":"1","slug":"","name":"","url":"","etag":"","method":""}',
    });
    expect(created.headers.get("location")).toBe("/x");
  });

  test.each(["application/json", "Application/JSON; charset=utf-8", 'application/json;charset="UTF-8"'])(
    "may have the content-type %s",
    async (type) => {
      const { status } = await check(execute, { method: "POST", headers: { "content-type": type }, body: "{}" });
      expect(status).toBe(200);
    },
  );

  test("may leave out an empty body and its type", async () => {
    expect((await check(execute, { method: "POST" })).status).toBe(200);
    expect(gateway.asked?.[1]).not.toHaveProperty("payload");
    const form = { "content-type": "application/x-www-form-urlencoded" };
    expect((await check(execute, { method: "POST", headers: form, body: "" })).status).toBe(200);
  });

  test("by HEAD is a GET without the body", async () => {
    const get = await check("/api/v1/workflow/x", {}, async () => create(WorkflowSchema, { id: "1" }));
    const head = await check("/api/v1/workflow/x", { method: "HEAD" }, async () => create(WorkflowSchema, { id: "1" }));
    expect(head).toMatchObject({ status: get.status, text: "" });
    expect(head.headers.get("content-length")).toBe(get.headers.get("content-length"));
  });
});

describe("a reply", () => {
  const service = madeService({
    GetName: { rule: { get: "/name", response_body: "name" } },
    GetParts: {
      rule: { get: "/parts", response_body: "parts", more: [{ get: "/parts/of/{name}", response_body: "parts" }] },
    },
    GetPart: { rule: { get: "/part", response_body: "part" } },
    GetValue: { rule: { get: "/value", response_body: "value" } },
  });

  async function ask(path: string, thing: MessageInitShape<DescMessage>) {
    const [method] = service.methods;
    if (method === undefined) {
      throw new Error("the service has methods");
    }
    const invoke: Invoke = async () => create(method.output, thing);
    const options = { ...made, invoke, replies: new Map() };
    await using server = await serveHandler(createGateway({ ...options, services: [service] }));
    return (await fetch(server.url + path)).text();
  }

  test("is the field that response_body names, over each of the bindings", async () => {
    expect(await ask("/name", { name: "x", count: 1 })).toBe('"x"');
    expect(await ask("/name", {})).toBe('""');
    expect(await ask("/part", {})).toBe("null");
    expect(await ask("/parts", {})).toBe("[]");
    expect(await ask("/parts/of/x", { parts: [{ id: "7" }] })).toBe('[{"id":"7"}]');
    expect(await ask("/value", { value: answer().returnValue })).toBe(spaced);
  });

  test("whose message has an etag bears it as a header", async () => {
    const { headers } = await check("/api/v1/workflow/x/draft", {}, async () => create(DraftSchema, { etag: '"7"' }));
    expect(headers.get("etag")).toBe('"7"');
    const none = await check("/api/v1/workflow/x/draft", {}, async () => create(DraftSchema, { etag: 'a"\r\nb' }));
    expect(none.headers.get("etag")).toBeNull();
  });

  test.each([
    ["gzip", true],
    ["br, GZIP;q=0.5", true],
    ["*", true],
    ["br", false],
    ["gzip;q=0", false],
    ["identity", false],
  ])("of some size is packed for who takes it: %s, %s", async (encoding, isPacked) => {
    const workflow = create(WorkflowSchema, { id: "1", description: "x".repeat(2_000) });
    const headers = { "accept-encoding": encoding };
    const reply = await check("/api/v1/workflow/x", { headers }, async () => workflow);
    expect(reply.headers.get("content-encoding")).toBe(isPacked ? "gzip" : null);
    expect(reply.body).toMatchObject({ id: "1", description: "x".repeat(2_000) });
    const small = await check("/nothing", { headers });
    expect(small.headers.get("content-encoding")).toBeNull();
  });

  test("to OPTIONS says what a path takes, whatever the key", async () => {
    const headers = { "x-api-key": "bad" };
    const reply = await check("/api/v1/workflow", { method: "OPTIONS", headers });
    expect(reply).toMatchObject({ status: 204, text: "" });
    expect(reply.headers.get("allow")).toBe("GET, HEAD, POST, OPTIONS");
    expect((await check("/nothing", { method: "OPTIONS" })).status).toBe(404);
  });
});

test("a key needs the scope that the method names, and none where there is nothing", () => {
  const access = (method: string, path: string) =>
    gateway.handler.match({ method, path, query: "", headers: new Map() })?.access;
  expect(access("POST", execute)).toBe(Scope.EXECUTE);
  expect(access("GET", "/api/v1/workflow")).toBe(Scope.READ);
  expect(access("PUT", "/api/v1/workflow/x/draft")).toBe(Scope.AUTHOR);
  expect(access("GET", "/nothing")).toBe("public");
  expect(access("PUT", execute)).toBe("public");
});

test("a reply settles although the caller has gone", async () => {
  const arrived = Promise.withResolvers<AbortSignal>();
  const release = Promise.withResolvers<void>();
  gateway.invoke = async (_method, _request, call) => {
    arrived.resolve(call.signal);
    await release.promise;
    return answer();
  };
  const request = httpRequest(server.url + execute, { method: "POST" });
  request.on("error", () => undefined);
  request.end();
  const signal = await arrived.promise;
  request.destroy();
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  release.resolve();
  await server.lastServed();
});

test("HTTP/2 is served alike, HEAD and an untyped body included", async () => {
  await using h2 = await gateway.serve("2");
  gateway.invoke = async (method) =>
    method.name === "ExecuteWorkflow" ? answer() : create(WorkflowSchema, { id: "1" });
  const session = connect(h2.url);
  const ask = async (headers: Record<string, string>, body = "") => {
    const stream = session.request(headers, { endStream: body === "" });
    const answered = Promise.withResolvers<IncomingHttpHeaders>();
    stream.on("response", answered.resolve);
    if (body !== "") {
      stream.end(body);
    }
    let text = "";
    for await (const chunk of stream) {
      text += String(chunk);
    }
    return { status: (await answered.promise)[":status"], text };
  };
  const post = { ":method": "POST", ":path": execute };
  expect(await ask({ ...post, ...json }, '{"a":1}')).toMatchObject({ status: 200 });
  expect(gateway.asked?.[1]).toMatchObject({ payload: { a: 1 } });
  expect(await ask(post)).toMatchObject({ status: 200 });
  expect(await ask(post, '{"a":1}')).toMatchObject({ status: 415 });
  expect(await ask({ ":method": "HEAD", ":path": "/api/v1/workflow/x" })).toEqual({ status: 201, text: "" });
  expect(await ask({ ":method": "GET", ":path": "/x" })).toMatchObject({ status: 404 });
  session.close();
});

test("two methods on one path are refused when the gateway is made", () => {
  const service = madeService({ A: { rule: { get: "/t/{name}" } }, B: { rule: { get: "/t/{one}" } } });
  const options = { ...made, invoke: gateway.invoke, replies };
  expect(() => createGateway({ ...options, services: [service] })).toThrow("match the same paths");
});
