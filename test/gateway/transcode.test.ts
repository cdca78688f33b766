import { type DescService, type Message, toJson } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { carriedText } from "../../src/domain/json/json-parse.ts";
import { defaultLimits } from "../../src/domain/limits.ts";
import { RequestError } from "../../src/domain/request-error.ts";
import { httpBindings } from "../../src/gateway/http-binding.ts";
import { RouteTrie } from "../../src/gateway/route-trie.ts";
import { Transcoder } from "../../src/gateway/transcode.ts";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { madeService } from "./made-service.ts";

const made = madeService({
  GetThing: { rule: { get: "/t/{name}" } },
  FindThing: { rule: { get: "/find/{part.id}/{colour}/{count}" } },
  GetFile: { rule: { get: "/f/{name=a/*/**}" } },
  MakeThing: { rule: { post: "/t/{name}:make", body: "*", more: [{ post: "/p/{part.id}", body: "*" }] } },
  PutPart: { rule: { post: "/t/{name}/part", body: "part" } },
  PutParts: { rule: { post: "/t/{name}/parts", body: "parts" } },
  PutValue: { rule: { post: "/t/{name}/value", body: "value" } },
});

const services: readonly DescService[] = [ExecutionService, WorkflowService, made];

/** Transcodes a request line and a body; answers the request message, or the violations of the refusal. */
function request(line: string, body = ""): Message {
  const trie = new RouteTrie<Transcoder>();
  for (const binding of httpBindings(services)) {
    trie.add(binding.template, binding.verb, new Transcoder(binding, defaultLimits));
  }
  const [, method = "", path = "", query = ""] = /^(\S+) ([^?]*)\??(.*)$/.exec(line) ?? [];
  const found = trie.find(path, method);
  if (found.kind !== "route") {
    throw new Error(`no route for ${line}`);
  }
  return found.route.request({ segments: found.segments, query, body: Buffer.from(body) });
}

function check(line: string, body?: string): unknown {
  try {
    const message = request(line, body);
    const schema = services
      .flatMap((service) => service.methods)
      .find(({ input }) => input.typeName === message.$typeName);
    return schema === undefined ? undefined : toJson(schema.input, message);
  } catch (error) {
    if (!(error instanceof RequestError)) {
      throw error;
    }
    const violations = error.details.violations?.map(({ field, description }) => `${field} ${description}`);
    return [error.reason, ...(violations ?? [error.message])];
  }
}

describe("the product's methods", () => {
  test.each([
    ["POST /api/v1/workflow/create-task/execute", "", { workflow: "create-task" }],
    [
      "POST /api/v1/workflow/create-task/execute",
      '{"Task Name":"x","n":[1,{}]}',
      { workflow: "create-task", payload: { "Task Name": "x", n: [1, {}] } },
    ],
    ["POST /api/v1/workflow/a%20b%2Fc/execute", "{}", { workflow: "a b/c", payload: {} }],
    ["POST /api/v1/workflow/a%2520b/execute", "", { workflow: "a%20b" }],
    ["GET /api/v1/execution/66e404464f475f36c0c95b5d/response", "", { execution_id: "66e404464f475f36c0c95b5d" }],
    ["GET /api/v1/workflow?slug=asana&page_size=10", "", { slug: "asana", page_size: 10 }],
    ["GET /api/v1/workflow?&slug=a+b%2B&", "", { slug: "a b+" }],
    ["GET /api/v1/workflow?slug", "", { slug: "" }],
    ["POST /api/v1/workflow", '{"slug":"asana","name":"x"}', { slug: "asana", name: "x" }],
    ["POST /api/v1/workflow/x/publish", "", { workflow: "x" }],
    ["POST /api/v1/workflow/x/publish", '{"etag":"1"}', { workflow: "x", etag: "1" }],
    [
      "PUT /api/v1/workflow/x/draft",
      '{"nodes":[{"id":"1","name":"Start","start":{"api_call":{"payload":{"a":[1]}}}}]}',
      {
        workflow: "x",
        definition: { nodes: [{ id: "1", name: "Start", start: { api_call: { payload: { a: [1] } } } }] },
      },
    ],
  ])("%s %s", (line, body, expected) => {
    expect(check(line, body)).toEqual(expected);
  });

  test.each([
    ["POST /api/v1/workflow/x/execute", "[1]", "VALIDATION_ERROR", "payload must be a JSON object; arrays, strings"],
    ["POST /api/v1/workflow/x/execute", '"x"', "VALIDATION_ERROR", "payload must be a JSON object"],
    ["POST /api/v1/workflow/x/execute", "null", "VALIDATION_ERROR", "payload must be a JSON object"],
    ["POST /api/v1/workflow/x/execute", "{", "INVALID_JSON", "payload is not well-formed JSON"],
    ["POST /api/v1/workflow/x/execute", '{"a":1,"a":2}', "INVALID_JSON", "payload.a is given twice"],
    ["POST /api/v1/workflow/x/execute", `${'{"a":'.repeat(24)}{}${"}".repeat(24)}`, "PAYLOAD_TOO_DEEP", "payload.a.a"],
    ["POST /api/v1/workflow/%zz/execute", "", "VALIDATION_ERROR", "% escapes are not UTF-8"],
    ["POST /api/v1/workflow/%ff/execute", "", "VALIDATION_ERROR", "% escapes are not UTF-8"],
    ["POST /api/v1/workflow/a%00/execute", "", "VALIDATION_ERROR", "workflow must not contain the character NUL"],
    [
      "POST /api/v1/workflow/x/execute?linked_account_id=y",
      "",
      "VALIDATION_ERROR",
      "linked_account_id is not read from the query; send the header linked_account_id",
    ],
    ["POST /api/v1/workflow/x/execute?workflow=y", "", "VALIDATION_ERROR", "workflow is taken from the path"],
    ["POST /api/v1/workflow/x/execute?payload=y", "", "VALIDATION_ERROR", "payload is read from the body"],
    ["POST /api/v1/workflow/x/execute?payload.a=y", "", "VALIDATION_ERROR", "payload.a is read from the body"],
    [
      "POST /api/v1/workflow/x/execute?wrong=y",
      "",
      "VALIDATION_ERROR",
      "wrong is not a query parameter of this method; it takes none",
    ],
    ["GET /api/v1/workflow?wrong=y", "", "VALIDATION_ERROR", "it takes slug, page_size, page_token"],
    ["GET /api/v1/workflow?pageSize=1", "", "VALIDATION_ERROR", "pageSize is not a query parameter"],
    ["GET /api/v1/workflow?page_size=1&page_size=2", "", "VALIDATION_ERROR", "page_size is given twice in the query"],
    ["GET /api/v1/workflow?slug=%zz", "", "VALIDATION_ERROR", "% escapes are not UTF-8"],
    ["GET /api/v1/workflow?slug=%00", "", "VALIDATION_ERROR", "slug must not contain the character NUL"],
    ["POST /api/v1/workflow?name=x", "{}", "VALIDATION_ERROR", "name is read from the body"],
    ["POST /api/v1/workflow", "[]", "VALIDATION_ERROR", "must be a JSON object"],
    [
      "POST /api/v1/workflow",
      '{"nam":"x"}',
      "VALIDATION_ERROR",
      "nam is not known; known are slug, name, description, alias",
    ],
    ["POST /api/v1/workflow", '{"name":7}', "VALIDATION_ERROR", "name must be a string"],
    ["POST /api/v1/workflow/x/publish", '{"workflow":"x"}', "VALIDATION_ERROR", "workflow is taken from the path"],
    ["PUT /api/v1/workflow/x/draft", "[]", "VALIDATION_ERROR", "definition must be a JSON object"],
    [
      "PUT /api/v1/workflow/x/draft",
      '{"nodes":[{"id":"1"},{"id":"2","settings":{"retry":{"strategy":"NEVER"}}}]}',
      "VALIDATION_ERROR",
      "definition.nodes[1].settings.retry.strategy must be one of FIXED, EXPONENTIAL",
    ],
    [
      "PUT /api/v1/workflow/x/draft",
      '{"nodes":[{"start":{},"delay":{}}]}',
      "VALIDATION_ERROR",
      "has start and delay, of which one may be set",
    ],
    [
      "PUT /api/v1/workflow/x/draft",
      '{"nodes":[null]}',
      "VALIDATION_ERROR",
      "definition.nodes[0] must be a JSON object",
    ],
    [
      "PUT /api/v1/workflow/x/draft",
      '{"nodes":[{"id":9007199254740993}]}',
      "INVALID_JSON",
      "definition.nodes[0].id holds the integer",
    ],
  ])("%s %s is refused", (line = "", body = "", reason = "", says = "") => {
    const refusal = check(line, body);
    expect(refusal).toEqual(expect.arrayContaining([reason]));
    expect(String(refusal)).toContain(says);
    expect(String(refusal)).not.toMatch(/cannot decode|flowcall\.v1|ReflectMessage/);
  });

  test("the payload carries its text", () => {
    const message = request("POST /api/v1/workflow/x/execute", ' { "a" : 1 } ');
    expect(carriedText("payload" in message ? message.payload : undefined)).toBe(' { "a" : 1 } ');
  });

  test("everything that is wrong is said at once", () => {
    expect(check("GET /api/v1/workflow?page_size=x&wrong=1&slug=a")).toEqual([
      "VALIDATION_ERROR",
      "page_size must be a whole number from -2147483648 to 2147483647",
      "wrong is not a query parameter of this method; it takes slug, page_size, page_token",
    ]);
  });
});

describe("all that the grammar has", () => {
  test.each([
    ["GET /t/x?part.id=7&part.size=-3", "", { name: "x", part: { id: "7", size: -3 } }],
    ["GET /t/x?tags=a&tags=b&tags=", "", { name: "x", tags: ["a", "b", ""] }],
    ["GET /t/x?colour=RED&colours=GREEN&colours=1", "", { name: "x", colour: "RED", colours: ["GREEN", "RED"] }],
    [
      "GET /t/x?is_on=true&count=5&large=18446744073709551615",
      "",
      { name: "x", is_on: true, count: 5, large: "18446744073709551615" },
    ],
    ["GET /t/x?ratio=-1.5e3&raw=AQI=", "", { name: "x", ratio: -1500, raw: "AQI=" }],
    [
      "GET /t/x?after=2026-01-31T12:00:00Z&pause=1.5s",
      "",
      { name: "x", after: "2026-01-31T12:00:00Z", pause: "1.500s" },
    ],
    ["GET /t/x?one=a", "", { name: "x", one: "a" }],
    ["GET /t/a:b", "", { name: "a:b" }],
    ["GET /t/j%C3%B6hn@acme.io", "", { name: "jöhn@acme.io" }],
    ["GET /find/7/GREEN/12", "", { part: { id: "7" }, colour: "GREEN", count: 12 }],
    ["GET /f/a/b%2Fc/d%20e/f", "", { name: "a/b%2Fc/d e/f" }],
    ["GET /f/a/b", "", { name: "a/b" }],
    [
      "POST /t/x:make",
      '{"part":{"id":"7"},"value":[1],"object":{"a":null}}',
      { name: "x", part: { id: "7" }, value: [1], object: { a: null } },
    ],
    ["POST /p/7", '{"part":{"size":1}}', { part: { id: "7", size: 1 } }],
    ["POST /t/x/part?count=1", '{"id":"7"}', { name: "x", part: { id: "7" }, count: 1 }],
    ["POST /t/x/parts", '[{"id":"7"}]', { name: "x", parts: [{ id: "7" }] }],
    ["POST /t/x/value", "[null]", { name: "x", value: [null] }],
    ["POST /t/x/value", "null", { name: "x", value: null }],
    ["POST /t/x/value", "", { name: "x" }],
  ])("%s %s", (line, body, expected) => {
    expect(check(line, body)).toEqual(expected);
  });

  test.each([
    ["GET /t/x?is_on=TRUE", "is_on must be true or false"],
    ["GET /t/x?is_on=1", "is_on must be true or false"],
    ["GET /t/x?count=1.5", "count must be a whole number"],
    ["GET /t/x?count=0x10", "count must be a whole number"],
    ["GET /t/x?count=2147483648", "count must be a whole number from"],
    ["GET /t/x?count=", "count must be a whole number"],
    ["GET /t/x?count=%205", "count must be a whole number"],
    ["GET /t/x?large=-1", "large must be a whole number from 0"],
    ["GET /t/x?ratio=NaN", "ratio must be a number"],
    ["GET /t/x?colour=BLUE", "colour must be one of RED, GREEN"],
    ["GET /t/x?colour=9", "colour must be one of RED, GREEN"],
    ["GET /t/x?raw=*", "raw must be bytes in base64"],
    ["GET /t/x?after=yesterday", "after must be a time"],
    ["GET /t/x?pause=5", "pause must be a number of seconds"],
    ["GET /t/x?part=7", "part is not a query parameter"],
    ["GET /t/x?parts.id=7", "parts.id is not a query parameter"],
    ["GET /t/x?value=7", "value is not a query parameter"],
    ["GET /t/x?part.id.x=7", "part.id.x is not a query parameter"],
    ["GET /t/x?__proto__=7", "__proto__ is not a query parameter"],
    ["GET /t/x?=7", " is not a query parameter"],
    ["GET /find/7/BLUE/12", "colour must be one of"],
    ["GET /find/7/RED/x", "count must be a whole number"],
  ])("%s is refused", (line, says) => {
    expect(String(check(line))).toContain(says);
  });

  test.each([
    ["POST /p/7", '{"part":{"id":"7"}}', "part.id is taken from the path"],
    ["POST /t/x/part?part.size=1", "{}", "part.size is read from the body"],
    ["POST /t/x/part", "[]", "part must be a JSON object"],
    ["POST /t/x/part", '{"id":1,"no":2}', "part.id must be a string,part.no is not known"],
    ["POST /t/x/parts", "{}", "parts must be an array, each item of which must be a JSON object"],
    ["POST /t/x/parts", '[{},{"id":1}]', "parts[1].id must be a string"],
    ["POST /t/x:make", '{"tags":["a",1,null]}', "tags[1] must be a string,tags[2] must be a string"],
    ["POST /t/x:make", '{"colours":["RED","BLUE"]}', "colours[1] must be one of RED, GREEN"],
    ["POST /t/x:make", '{"after":5}', "after must be a time"],
    ["POST /t/x:make", '{"object":[]}', "object must be a JSON object"],
    ["POST /t/x:make", '{"one":"a","other":"b"}', "has one and other, of which one may be set"],
  ])("%s %s is refused", (line, body, says) => {
    expect(String(check(line, body))).toContain(says);
  });
});

test.each([
  [{ rule: { get: "/t/{wrong}" } }, "wrong is not a field of made.v1.Thing that a path can fill"],
  [{ rule: { get: "/t/{tags}" } }, "tags is not a field"],
  [{ rule: { get: "/t/{part}" } }, "part is not a field"],
  [{ rule: { post: "/t", body: "wrong" } }, "made.v1.Thing has no field wrong to be the body"],
  [{ rule: { get: "/t", response_body: "wrong" } }, "made.v1.Thing has no field wrong to be the response_body"],
  [{ rule: { get: "/t", body: "*" } }, "made.v1.ThingService.M has a body, and a GET takes none"],
  [{ rule: { get: "/t", more: [{ get: "/u", more: [{ get: "/v" }] }] } }, "additional bindings inside"],
  [{ rule: { get: "/t", more: [{ get: "/{wrong}" }] } }, "wrong is not a field of made.v1.Thing"],
  [{ rule: { get: "/t" }, takesStream: true }, "made.v1.ThingService.M takes a stream"],
  [{ rule: { post: "/t", body: "*" }, streams: true }, "made.v1.ThingService.M answers a stream"],
  [{ rule: { get: "/t", response_body: "part" }, streams: true }, "made.v1.ThingService.M answers a stream"],
  [{ rule: { get: "/t" }, scope: 0 as const }, "made.v1.ThingService.M has no scope"],
  [{ rule: { get: "t" } }, "made.v1.ThingService.M cannot be served over REST"],
  [{ rule: { body: "*" } }, "an HTTP rule without a path"],
])("a proto file that asks for what cannot be served is refused: %o", (method, says) => {
  expect(() =>
    httpBindings([madeService({ M: method })]).map((binding) => new Transcoder(binding, defaultLimits)),
  ).toThrow(says);
});

test("a day that no month has is refused, as anywhere else", () => {
  const listed = (time: string) => check(`GET /api/v1/execution?created_since=${time}`);
  expect(listed("2024-02-29T00:00:00Z")).toEqual({ created_since: "2024-02-29T00:00:00Z" });
  for (const time of ["2024-02-30T00:00:00Z", "2023-02-29T12:00:00%2B01:00", "2024-04-31T00:00:00Z"]) {
    expect(listed(time)).toEqual(["VALIDATION_ERROR", expect.stringContaining("created_since")]);
  }
});

test("the limit of a body's bytes has the name of its setting", () => {
  const limits = Object.fromEntries(
    httpBindings([ExecutionService]).map((binding) => {
      const { limitName, bytesMax } = new Transcoder(binding, defaultLimits).body;
      return [binding.method.name, [limitName, bytesMax]];
    }),
  );
  expect(limits["ExecuteWorkflow"]).toEqual(["payload_bytes", defaultLimits.payload.bytesMax]);
  expect(limits["StopExecution"]).toEqual(["transport_bytes", defaultLimits.transportBytesMax]);
});
