import { gzipSync } from "node:zlib";
import { fromJsonString, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ExecuteWorkflowRequestSchema } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { startFlowcall, testKey } from "../support/flowcall.ts";
import { frame } from "../support/grpc-web.ts";
import { type HttpAnswer, type HttpRequest, type HttpVersion, sendRequest } from "../support/http-request.ts";
import { verdictOf } from "../support/verdict.ts";
import { useFlowcall } from "./use-flowcall.ts";

/* What Connect's handlers would refuse without a reason is refused here with one, in the caller's protocol. */

const path = "/flowcall.v1.ExecutionService/ExecuteWorkflow";
const readPath = "/flowcall.v1.ExecutionService/GetExecutionResponse";
const healthPath = "/grpc.health.v1.Health/Check";
const json = '{"workflow":"create-task","linked_account_id":"john@acme.io"}';
const binary = toBinary(ExecuteWorkflowRequestSchema, fromJsonString(ExecuteWorkflowRequestSchema, json));
const framed = frame(0, binary);
const packed = frame(1, gzipSync(binary));

const flowcall = await useFlowcall();

type Case = Partial<HttpRequest> & { readonly type?: string };

function send({ type, headers = [], ...rest }: Case, version: HttpVersion = "1.1"): Promise<HttpAnswer> {
  const typed = type === undefined ? [] : ([["content-type", type]] as const);
  return sendRequest(flowcall.url, version, {
    method: "POST",
    path,
    ...rest,
    headers: [["x-api-key", testKey], ...typed, ...headers],
  });
}

/** The code, reason and domain of a refusal in whichever protocol it is. */
function verdict(answer: HttpAnswer): string {
  const refusal = verdictOf(answer);
  return refusal === undefined ? "OK" : [refusal.code, refusal.reason, refusal.domain].join(" ").trim();
}

const invalid = "InvalidArgument VALIDATION_ERROR flowcall";
const unimplemented = "Unimplemented UNSUPPORTED_MEDIA_TYPE flowcall";
const undeclared = "Internal ENCODING_UNDECLARED flowcall";
const connectInvalid = "invalid_argument VALIDATION_ERROR flowcall";
const web = "application/grpc-web+proto";

describe("in its own protocol a caller is told of", () => {
  test.each<readonly [string, Case, string]>([
    ["no envelope", { type: web, body: "" }, invalid],
    ["half an envelope", { type: web, body: framed.subarray(0, 4) }, invalid],
    ["an envelope that is cut", { type: web, body: framed.subarray(0, -1) }, invalid],
    ["an envelope with more behind it", { type: web, body: Buffer.concat([framed, framed]) }, invalid],
    ["an envelope of 4 GiB", { type: web, body: Buffer.from([0, 255, 255, 255, 255, 1]) }, invalid],
    ["flags that mean nothing", { type: web, body: frame(2, binary) }, invalid],
    ["a trailer in place of a message", { type: web, body: frame(128, binary) }, invalid],
    ["a packed message that no header tells of", { type: web, body: packed }, undeclared],
    [
      "a packed message whose header says that it is not",
      { type: web, headers: [["grpc-encoding", "identity"]], body: packed },
      undeclared,
    ],
    [
      "a packed message that is not",
      { type: web, headers: [["grpc-encoding", "gzip"]], body: frame(1, binary) },
      invalid,
    ],
    ["an unknown encoding", { type: web, headers: [["grpc-encoding", "br"]], body: framed }, unimplemented],
    ["what is not base64", { type: "application/grpc-web-text", body: "AAAA*AAA" }, invalid],
    ["base64 that is cut", { type: "application/grpc-web-text", body: "AAA" }, invalid],
    ["no timeout", { type: web, headers: [["grpc-timeout", "soon"]], body: framed }, invalid],
    ["a timeout of too many digits", { type: web, headers: [["grpc-timeout", "123456789S"]], body: framed }, invalid],
    ["bytes that are no message", { type: web, body: frame(0, Buffer.from([255])) }, invalid],
    ["JSON that is none", { type: "application/json", body: "{" }, "invalid_argument INVALID_JSON flowcall"],
    ["an unknown field", { type: "application/json", body: '{"no":1}' }, connectInvalid],
    [
      "an unknown content-encoding",
      { type: "application/json", headers: [["content-encoding", "br"]], body: json },
      "unimplemented UNSUPPORTED_MEDIA_TYPE flowcall",
    ],
    [
      "no Connect timeout",
      { type: "application/json", headers: [["connect-timeout-ms", "-1"]], body: json },
      connectInvalid,
    ],
    ["a message of a public method that is none", { path: healthPath, type: web, body: "x" }, invalid],
    [
      "an unknown service of the health check",
      { path: healthPath, type: "application/json", body: '{"service":"x"}' },
      "not_found RESOURCE_NOT_FOUND flowcall",
    ],
    [
      "a query that is packed in an unknown way",
      { method: "GET", path: `${readPath}?encoding=json&message=%7B%7D&compression=br` },
      "unimplemented UNSUPPORTED_MEDIA_TYPE flowcall",
    ],
    ["no message in the query", { method: "GET", path: `${readPath}?encoding=proto` }, connectInvalid],
    [
      "a method that is not there",
      { path: "/flowcall.v1.ExecutionService/Nothing", type: web, body: framed },
      "Unimplemented ROUTE_NOT_FOUND flowcall",
    ],
    [
      "a stream both ways over HTTP/1.1",
      { path: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", type: web, body: framed },
      invalid,
    ],
  ])("%s", async (_, request, expected) => {
    expect(verdict(await send(request))).toBe(expected);
  });
});

test.each([
  ["grpc-encoding", web, "grpc-accept-encoding", "identity,gzip"],
  ["content-encoding", "application/json", "accept-encoding", "gzip, identity"],
])("the refusal of an unknown %s says what is taken", async (header, type, taken, value) => {
  for (const version of ["1.1", "2"] as const) {
    const answer = await send({ type, headers: [[header, "br"]], body: type === web ? framed : json }, version);
    expect(answer.headers.get(taken)).toBe(value);
  }
});

describe("in REST's envelope a caller that speaks no protocol is told of", () => {
  const types = [
    "text/plain",
    "application/grpcx",
    "application/grpc+xml",
    "multipart/form-data",
    "application/json; a=b",
  ];
  test.each<readonly [string, Case, string]>([
    ...types.map((type) => [type, { type, body: json }, "415 UNSUPPORTED_MEDIA_TYPE"] as const),
    ["no type at all", { body: Buffer.from(json) }, "415 UNSUPPORTED_MEDIA_TYPE"],
    ["Connect's type for streams", { type: "application/connect+json", body: framed }, "415 UNSUPPORTED_MEDIA_TYPE"],
    ["GET of a method with effects", { method: "GET" }, "405 METHOD_NOT_ALLOWED"],
    ["PUT", { method: "PUT", type: "application/json", body: json }, "405 METHOD_NOT_ALLOWED"],
    ["DELETE", { method: "DELETE", path: readPath }, "405 METHOD_NOT_ALLOWED"],
    ["a query without an encoding", { method: "GET", path: readPath }, "415 UNSUPPORTED_MEDIA_TYPE"],
    ["a path that is not there", { path: "/flowcall.v1.None/None", type: "application/json" }, "404 ROUTE_NOT_FOUND"],
  ])("%s", async (_, request, expected) => {
    for (const version of ["1.1", "2"] as const) {
      const answer = await send(request, version);
      expect(verdict(answer)).toBe(expected);
      const allow = expected.startsWith("405") ? expect.stringMatching(/^(GET, )?POST, OPTIONS$/) : null;
      expect(answer.headers.get("allow")).toEqual(allow);
    }
  });
});

describe("what a caller may say is taken", () => {
  test.each<readonly [string, Case]>([
    ["the longest timeout of gRPC", { type: web, headers: [["grpc-timeout", "99999999H"]], body: framed }],
    [
      "the longest timeout of Connect",
      { type: "application/json", headers: [["connect-timeout-ms", "9999999999"]], body: json },
    ],
    ["a packed message", { type: web, headers: [["grpc-encoding", "gzip"]], body: packed }],
    [
      "a message as it is where packed ones are announced",
      { type: web, headers: [["grpc-encoding", "gzip"]], body: framed },
    ],
    ["gRPC-Web in JSON", { type: "application/grpc-web+json", body: frame(0, Buffer.from(json)) }],
    ["a type in capitals, with its charset", { type: "Application/JSON; Charset=UTF-8", body: json }],
    ["gRPC's type with a charset", { type: "application/grpc-web+proto;charset=utf-8", body: framed }],
    ["a health check over base64", { path: healthPath, type: "application/grpc-web-text", body: "AAAAAAA=" }],
  ])("%s", async (_, request) => {
    for (const version of ["1.1", "2"] as const) {
      expect(verdict(await send(request, version))).toBe("OK");
    }
  });

  test("OPTIONS, which says what a method takes", async () => {
    const answer = await send({ method: "OPTIONS", path: readPath });
    expect([answer.status, answer.headers.get("allow")]).toEqual([204, "GET, POST, OPTIONS"]);
  });
});

test("a browser's page calls over gRPC-Web: its preflight is answered, and it may read the reply", async () => {
  const origin = "https://console.example.com";
  const open = await startFlowcall({ FLOWCALL_CORS_ORIGINS: origin });
  try {
    const asked = "content-type,x-grpc-web,x-api-key";
    const preflight = await sendRequest(open.url, "1.1", {
      method: "OPTIONS",
      path,
      headers: [
        ["origin", origin],
        ["access-control-request-method", "POST"],
        ["access-control-request-headers", asked],
      ],
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-origin")).toBe(origin);
    expect(preflight.headers.get("access-control-allow-headers")).toBe(asked);
    const reply = await sendRequest(open.url, "1.1", {
      method: "POST",
      path,
      headers: [
        ["origin", origin],
        ["content-type", web],
        ["x-grpc-web", "1"],
        ["x-api-key", testKey],
      ],
      body: framed,
    });
    expect(verdict(reply)).toBe("OK");
    expect(reply.headers.get("access-control-allow-origin")).toBe(origin);
    expect(reply.headers.get("access-control-expose-headers")).toContain("x-execution-id");
    expect(reply.headers.get("x-execution-id")).toMatch(/^[0-9a-f]{24}$/);
  } finally {
    await open.stop();
  }
});
