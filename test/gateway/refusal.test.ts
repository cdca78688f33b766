import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Invoke } from "../../src/domain/http/call.ts";
import { reasons } from "../../src/domain/reason.ts";
import { RequestError } from "../../src/domain/request-error.ts";
import { WorkflowProblemSchema } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import type { GatewayServer } from "./gateway-server.ts";
import { type Answer, answer, execute, json, RecordingGateway } from "./recording-gateway.ts";

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

describe("a refusal", () => {
  test("of a path that leads nowhere is a 404, whatever the key", async () => {
    const { status, text } = await check("/api/v2/nothing", { headers: { "x-api-key": "bad" } });
    expect(status).toBe(404);
    expect(text).toBe(
      '{"status_code":404,"http_error_type":"NOT_FOUND","error_code":"ROUTE_NOT_FOUND",' +
        '"message":"There is nothing at /api/v2/nothing; check the path.","request_id":"request-1",' +
        '"details":{"metadata":{"method":"GET","path":"/api/v2/nothing"}}}',
    );
  });

  test("of a method is a 405 that says which are allowed", async () => {
    const post = await check(execute);
    expect(post.headers.get("allow")).toBe("POST, OPTIONS");
    expect(post.body).toEqual({
      status_code: 405,
      http_error_type: "METHOD_NOT_ALLOWED",
      error_code: "METHOD_NOT_ALLOWED",
      message: `${execute} does not take GET; it takes POST, OPTIONS.`,
      request_id: "request-1",
      details: { metadata: { method: "GET", path: execute, allow: "POST, OPTIONS" } },
    });
    const many = await check("/api/v1/workflow", { method: "DELETE" });
    expect(many.status).toBe(405);
    expect(many.headers.get("allow")).toBe("GET, HEAD, POST, OPTIONS");
  });

  test.each([
    "text/plain",
    "application/xml",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "application/json; charset=latin1",
    "application/jsonx",
    "application/json, application/json",
  ])("of the content-type %s is a 415, and the body stays unread", async (type) => {
    const before = server.bodiesRead;
    const { status, body } = await check(execute, { method: "POST", headers: { "content-type": type }, body: "{}" });
    expect(status).toBe(415);
    expect(body).toEqual({
      status_code: 415,
      http_error_type: "UNSUPPORTED_MEDIA_TYPE",
      error_code: "UNSUPPORTED_MEDIA_TYPE",
      message: `The body's content-type is ${type}; send JSON with the header content-type: application/json.`,
      request_id: "request-1",
      details: { metadata: { content_type: type } },
    });
    expect(server.bodiesRead).toBe(before);
  });

  test("of a body without a type is a 415", async () => {
    const { status } = await check(execute, { method: "POST", body: Buffer.from("{}") });
    expect(status).toBe(415);
  });

  test("of a key leaves the body unread", async () => {
    const before = server.bodiesRead;
    const { status, body } = await check(execute, {
      method: "POST",
      headers: { ...json, "x-api-key": "bad" },
      body: "{}",
    });
    expect(status).toBe(401);
    expect(body).toEqual({
      status_code: 401,
      http_error_type: "UNAUTHORIZED",
      error_code: "INVALID_API_KEY",
      message: "The API key is not known.",
      request_id: "request-1",
    });
    expect(server.bodiesRead).toBe(before);
  });

  test("of bad JSON says where it is bad", async () => {
    const { status, body } = await check(execute, { method: "POST", headers: json, body: '{"a":[1,2}' });
    expect(status).toBe(400);
    expect(body).toEqual({
      status_code: 400,
      http_error_type: "BAD_REQUEST",
      error_code: "INVALID_JSON",
      message: 'payload.a[1] is not well-formed JSON: there is "}" where a comma or "]" is due (at byte 9).',
      request_id: "request-1",
      details: {
        violations: [
          {
            field: "payload.a[1]",
            description: 'is not well-formed JSON: there is "}" where a comma or "]" is due',
          },
        ],
        metadata: { field: "payload.a[1]", offset: "9" },
      },
    });
  });

  test("of a body that is no object names the field", async () => {
    const { body } = await check(execute, { method: "POST", headers: json, body: "[1]" });
    expect(body).toMatchObject({ status_code: 400, error_code: "VALIDATION_ERROR" });
    expect(body).toHaveProperty("details.violations[0].field", "payload");
  });

  test("of a payload that is too large is a 413", async () => {
    const large = await check(execute, { method: "POST", headers: json, body: `{"a":"${"x".repeat(1_048_576)}"}` });
    expect(large.body).toMatchObject({
      status_code: 413,
      http_error_type: "PAYLOAD_TOO_LARGE",
      error_code: "PAYLOAD_TOO_LARGE",
    });
    const many = await check(execute, { method: "POST", headers: json, body: `{"a":[${"1,".repeat(50_000)}1]}` });
    expect(many.body).toMatchObject({ status_code: 413, details: { metadata: { limit: "values", max: "50000" } } });
  });

  test("with problems of a definition lists them", async () => {
    const problem = create(WorkflowProblemSchema, { nodeId: "1", field: "name", reason: "NAME_MISSING", message: "m" });
    const { body } = await check("/api/v1/workflow/x/publish", { method: "POST" }, async () => {
      throw new RequestError("WORKFLOW_INVALID", "The draft cannot be published.", { problems: [problem] });
    });
    expect(body).toMatchObject({
      status_code: 400,
      details: { problems: [{ node_id: "1", field: "name", reason: "NAME_MISSING", message: "m" }] },
    });
  });

  test("is RFC 9457 for who asks for it", async () => {
    const headers = { accept: "application/json;q=0.5, application/problem+json" };
    const response = await check("/nothing", { headers });
    expect(response.headers.get("vary")).toBe("Accept, Accept-Encoding");
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(response.body).toMatchObject({
      type: "about:blank",
      title: "Not Found",
      status: 404,
      detail: "There is nothing at /nothing; check the path.",
      error_code: "ROUTE_NOT_FOUND",
      request_id: "request-1",
    });
  });

  test.each([
    ["application/problem+json", true],
    ["Application/Problem+JSON ; q=0.1", true],
    ["application/json, application/problem+json", true],
    ["application/problem+json;q=0.5, application/json", false],
    ["application/problem+json;q=0", false],
    ["application/problem+json;q=nonsense", false],
    ["*/*", false],
    ["application/problem+xml", false],
  ])("is for %s in the form of RFC 9457: %s", async (accept, isProblem) => {
    const { headers } = await check("/nothing", { headers: { accept } });
    expect(headers.get("content-type")).toBe(isProblem ? "application/problem+json" : "application/json");
  });

  test("for a fault of our own tells nothing of it, and the fault is reported", async () => {
    const fault = new TypeError("secret: cannot read properties of undefined");
    const { body } = await check(execute, { method: "POST" }, async () => {
      throw fault;
    });
    expect(body).toEqual({
      status_code: 500,
      http_error_type: "INTERNAL_SERVER_ERROR",
      error_code: "SERVER_ERROR",
      message: reasons.SERVER_ERROR.message,
      request_id: "request-1",
    });
    expect(gateway.reported.at(-1)).toBe(fault);
  });
});
