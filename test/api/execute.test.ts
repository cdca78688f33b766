import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { echoDefinition, productionKey, putWorkflow, testKey } from "../support/flowcall.ts";
import { type ApiAnswer, type ApiCall, protocolsOf } from "./protocols.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { executeWorkflow, getExecutionResponse } = ExecutionService.method;

const account = "john@acme.io";
const unknownId = "0123456789abcdef01234567";
const payload = { "Task Name": "Sample task", Created_at: "2024-2-1", Assigned_to: "John Doe" };
const note = { success: "true", new_note: "Sample task (assigned to John Doe)" };
const anId = expect.stringMatching(/^[0-9a-f]{24}$/);

const flowcall = await useFlowcall();
const protocols = protocolsOf(flowcall.url);

beforeAll(async () => {
  await putWorkflow(flowcall.url, { alias: "draft-only", definition: echoDefinition("{}"), isPublished: false });
  await putWorkflow(flowcall.url, { alias: "other-trigger", definition: echoDefinition("{}", {}) });
  await putWorkflow(flowcall.url, { alias: "shared", definition: echoDefinition('"asana"') });
  await putWorkflow(flowcall.url, { alias: "shared", slug: "github", definition: echoDefinition('"github"') });
  const group = { id: "3", name: "Parked loop", group: { count: "1", output: "1" } };
  const { nodes, ...rest } = echoDefinition("1");
  await putWorkflow(flowcall.url, {
    alias: "parked-group",
    definition: { ...rest, nodes: [...(Array.isArray(nodes) ? nodes : []), group] },
  });
  await putWorkflow(flowcall.url, { alias: "echo", definition: echoDefinition("{{event.body}}") });
});

function execute(fields: JsonObject = {}, rest: Partial<ApiCall> = {}): ApiCall {
  const all = { workflow: "create-task", linked_account_id: account, payload, ...fields };
  const given = Object.entries(all).filter(([, value]) => value !== null);
  return { method: executeWorkflow, key: testKey, ...rest, fields: Object.fromEntries(given) };
}

function response(fields: JsonObject, rest: Partial<ApiCall> = {}): ApiCall {
  return { method: getExecutionResponse, key: testKey, ...rest, fields: { linked_account_id: account, ...fields } };
}

/** Runs a case over every protocol and answers what each said. */
async function everywhere(call: ApiCall): Promise<readonly { readonly name: string; readonly answer: ApiAnswer }[]> {
  return Promise.all(protocols.map(async (protocol) => ({ name: protocol.name, answer: await protocol.call(call) })));
}

async function check(call: ApiCall, expected: { rest: { status: number; body: JsonObject }; rpc: JsonObject }) {
  for (const { name, answer } of await everywhere(call)) {
    const { status, body } = expected.rest;
    if (name === "REST") {
      expect([name, answer.status, answer.message]).toEqual([name, status, body]);
    } else {
      expect([name, answer.code, answer.message]).toEqual([name, undefined, expected.rpc]);
    }
  }
}

/** A refusal: REST's status, the code elsewhere, and one reason everywhere, with nothing accepted. */
async function checkRefused(call: ApiCall, expected: { status: number; code: string; reason: string; text?: RegExp }) {
  const before = await countExecutions();
  for (const { name, answer } of await everywhere(call)) {
    expect([name, answer.reason]).toEqual([name, expected.reason]);
    if (name === "REST") {
      expect([name, answer.status]).toEqual([name, expected.status]);
    } else {
      expect([name, answer.code]).toEqual([name, expected.code]);
    }
    if (expected.text !== undefined) {
      expect(answer.text).toMatch(expected.text);
    }
  }
  expect(await countExecutions()).toBe(before);
}

async function countExecutions(): Promise<number> {
  const { rows } = await flowcall.database.query("select count(*)::int as count from execution");
  return Number(rows[0]?.["count"]);
}

/** Values that no JSON may hold, as JSON writes them inside a payload. */
function nested(depth: number): JsonValue {
  let value: JsonValue = 1;
  for (let level = 1; level < depth; level += 1) {
    value = { a: value };
  }
  return value;
}

describe("an execution is answered alike on every protocol", () => {
  test("a completed synchronous call answers return_value and execution_id, and nothing else", async () => {
    const body = { return_value: note, execution_id: anId };
    await check(execute({ sync_execution: true, slug: "asana" }), { rest: { status: 200, body }, rpc: body });
  });

  test("a key may be a bearer token", async () => {
    const { method, fields } = execute({ sync_execution: true, slug: "asana" });
    const body = { return_value: note, execution_id: anId };
    const call = { method, fields, headers: [["authorization", `Bearer ${testKey}`]] } as const;
    await check(call, { rest: { status: 200, body }, rpc: body });
  });

  test("an asynchronous call answers execution_id, and nothing else", async () => {
    const body = { execution_id: anId };
    await check(execute({ slug: "asana" }), { rest: { status: 200, body }, rpc: body });
    await check(execute({ sync_execution: false }), { rest: { status: 200, body }, rpc: body });
  });

  test("a failed synchronous call says which execution failed, where and why", async () => {
    const error = { reason: "TERMINATED", message: "This workflow always fails.", node_id: "3", node_name: "Give up" };
    const envelope = {
      status_code: 500,
      http_error_type: "INTERNAL_SERVER_ERROR",
      error_code: "WORKFLOW_ERRORED",
      message: "This workflow always fails.",
      request_id: anId,
      execution_id: anId,
      error,
    };
    await check(execute({ workflow: "always-fails", sync_execution: true }), {
      rest: { status: 500, body: envelope },
      rpc: { execution_id: anId, status: "ERRORED", error },
    });
  });

  test("the execution's id and status stand in headers, whatever the body is", async () => {
    for (const { name, answer } of await everywhere(execute({ sync_execution: true }))) {
      expect([name, answer.headers.get("x-execution-id")]).toEqual([name, anId]);
      expect([name, answer.headers.get("x-execution-status")]).toEqual([name, "COMPLETED"]);
    }
  });

  test("a synchronous Delay does not wait", async () => {
    const body = {
      return_value: { message: "Waited for 0 seconds since sync execution is true." },
      execution_id: anId,
    };
    await check(execute({ workflow: "slow-task", sync_execution: true }), { rest: { status: 200, body }, rpc: body });
  });

  test("without a payload the event's body is an empty object", async () => {
    const body = { return_value: {}, execution_id: anId };
    const call = execute({ workflow: "echo", sync_execution: true, payload: null });
    await check(call, { rest: { status: 200, body }, rpc: body });
  });

  test("what JSON can hold comes back as it went in", async () => {
    const value = {
      "": "",
      text: 'é € 𝄞 \u2028 " \\ {{event.body}} \u0001',
      numbers: [0, -1, 0.1, 1e300, 9007199254740991],
      nothing: null,
      __proto__x: { constructor: { prototype: 1 } },
      deep: nested(20),
    };
    const body = { return_value: value, execution_id: anId };
    const call = execute({ workflow: "echo", sync_execution: true, payload: value });
    await check(call, { rest: { status: 200, body }, rpc: body });
  });

  test("the same alias in two integrations is told apart by the slug", async () => {
    const body = { return_value: "github", execution_id: anId };
    const call = execute({ workflow: "shared", slug: "github", sync_execution: true });
    await check(call, { rest: { status: 200, body }, rpc: body });
  });

  test("the literal OPTIONAL as config_id counts as absent, and header spellings with hyphens work", async () => {
    const headers = [
      ["config_id", "OPTIONAL"],
      ["linked-account-id", account],
      ["sync-execution", "TRUE"],
    ] as const;
    const body = { return_value: note, execution_id: anId };
    await check(execute({ linked_account_id: null }, { headers }), { rest: { status: 200, body }, rpc: body });
  });
});

describe("headers that say nothing change nothing", () => {
  test("an empty header is absent, whatever its field", async () => {
    const headers = ["sync_execution", "workflow_version", "config_id", "slug", "tag"].map(
      (name) => [name, ""] as const,
    );
    const body = { execution_id: anId };
    await check(execute({}, { headers }), { rest: { status: 200, body }, rpc: body });
  });

  test("a header that is sent twice is refused, and never joined", async () => {
    const headers = [
      ["linked_account_id", account],
      ["linked_account_id", account],
    ] as const;
    const [rest] = protocols;
    const answer = await rest?.call(execute({ linked_account_id: null }, { headers }));
    expect([answer?.status, answer?.reason, answer?.text]).toEqual([
      400,
      "VALIDATION_ERROR",
      "The header linked_account_id was sent 2 times; send it once.",
    ]);
  });

  test("an empty spelling of a header is absent beside one that says something", async () => {
    const headers = [
      ["linked_account_id", ""],
      ["linked-account-id", account],
      ["sync_execution", "true"],
      ["sync-execution", ""],
    ] as const;
    const body = { return_value: note, execution_id: anId };
    await check(execute({ linked_account_id: null }, { headers }), { rest: { status: 200, body }, rpc: body });
  });

  test("a header in both of its spellings counts once where the values are equal", async () => {
    const headers = [
      ["linked_account_id", account],
      ["linked-account-id", account],
      ["sync_execution", "true"],
      ["sync-execution", "true"],
    ] as const;
    const body = { return_value: note, execution_id: anId };
    await check(execute({ linked_account_id: null }, { headers }), { rest: { status: 200, body }, rpc: body });
  });
});

describe("the response of an execution", () => {
  async function started(fields: JsonObject): Promise<string> {
    const [rest] = protocols;
    const answer = await rest?.call(execute(fields));
    return answer?.headers.get("x-execution-id") ?? "";
  }

  test("is exactly response and status once it is completed", async () => {
    const body = { response: note, status: "COMPLETED" };
    const call = response({ execution_id: await started({ sync_execution: true }) });
    await check(call, { rest: { status: 200, body }, rpc: body });
  });

  test("is null while it runs", async () => {
    const body = { response: null, status: "RUNNING" };
    const call = response({ execution_id: await started({ workflow: "slow-task" }) });
    await check(call, { rest: { status: 200, body }, rpc: body });
  });

  test("says why an execution failed", async () => {
    const error = { reason: "TERMINATED", message: "This workflow always fails.", node_id: "3", node_name: "Give up" };
    const body = { response: null, status: "ERRORED", error };
    const call = response({ execution_id: await started({ workflow: "always-fails", sync_execution: true }) });
    await check(call, { rest: { status: 200, body }, rpc: body });
  });

  test("is not found for another account, another environment, an unknown id and no id at all", async () => {
    const execution_id = await started({ sync_execution: true });
    const refusal = { status: 404, code: "NotFound", reason: "RESOURCE_NOT_FOUND", text: /^Execution not found\.$/ };
    await checkRefused(response({ execution_id, linked_account_id: "jane@acme.io" }), refusal);
    await checkRefused(response({ execution_id }, { key: productionKey }), refusal);
    await checkRefused(response({ execution_id: unknownId }), refusal);
    await checkRefused(response({ execution_id: "nonsense" }), refusal);
  });
});

const aKey = "tk99999999-9999-4999-8999-999999999999";
const refusals: readonly (readonly [string, () => ApiCall, Parameters<typeof checkRefused>[1]])[] = [
  [
    "sync with a Group node",
    () => execute({ workflow: "batch-notes", payload: { items: [1] }, sync_execution: true }),
    {
      status: 400,
      code: "FailedPrecondition",
      reason: "SYNC_NOT_ALLOWED_WITH_GROUP",
      text: /Group node.*Prefer: wait/,
    },
  ],
  [
    "sync with a Group node that nothing leads to",
    () => execute({ workflow: "parked-group", sync_execution: true }),
    {
      status: 400,
      code: "FailedPrecondition",
      reason: "SYNC_NOT_ALLOWED_WITH_GROUP",
      text: /"Parked loop".*Prefer: wait/,
    },
  ],
  [
    "a workflow that is not published",
    () => execute({ workflow: "draft-only" }),
    { status: 400, code: "FailedPrecondition", reason: "WORKFLOW_NOT_PUBLISHED" },
  ],
  [
    "a workflow with another trigger",
    () => execute({ workflow: "other-trigger" }),
    { status: 400, code: "FailedPrecondition", reason: "WORKFLOW_HAS_OTHER_TRIGGER" },
  ],
  [
    "an unknown alias",
    () => execute({ workflow: "nobody-knows" }),
    { status: 404, code: "NotFound", reason: "WORKFLOW_NOT_FOUND" },
  ],
  [
    "an unknown id",
    () => execute({ workflow: unknownId }),
    { status: 404, code: "NotFound", reason: "WORKFLOW_NOT_FOUND" },
  ],
  [
    "an alias of another integration",
    () => execute({ slug: "github" }),
    { status: 404, code: "NotFound", reason: "WORKFLOW_NOT_FOUND" },
  ],
  [
    "an alias that two integrations share, without a slug",
    () => execute({ workflow: "shared" }),
    { status: 400, code: "InvalidArgument", reason: "SLUG_REQUIRED" },
  ],
  [
    "a workflow name that is neither id nor alias",
    () => execute({ workflow: "not an alias" }),
    { status: 400, code: "InvalidArgument", reason: "VALIDATION_ERROR", text: /workflow/ },
  ],
  [
    "an unknown linked account",
    () => execute({ linked_account_id: "nobody@acme.io" }),
    { status: 400, code: "InvalidArgument", reason: "INVALID_LINKED_ACCOUNT_ID" },
  ],
  [
    "no linked account",
    () => execute({ linked_account_id: null }),
    { status: 400, code: "InvalidArgument", reason: "VALIDATION_ERROR", text: /linked_account_id.*linked-account-id/ },
  ],
  [
    "a linked account in two spellings that disagree",
    () =>
      execute(
        { linked_account_id: null },
        {
          headers: [
            ["linked_account_id", account],
            ["linked-account-id", "jane@acme.io"],
          ],
        },
      ),
    { status: 400, code: "InvalidArgument", reason: "VALIDATION_ERROR", text: /two spellings/ },
  ],
  [
    "sync_execution that is neither true nor false",
    () => execute({}, { headers: [["sync_execution", "yes"]] }),
    { status: 400, code: "InvalidArgument", reason: "VALIDATION_ERROR", text: /sync_execution must be true or false/ },
  ],
  [
    "a version that was not published",
    () => execute({ workflow_version: 99 }),
    { status: 404, code: "NotFound", reason: "WORKFLOW_VERSION_NOT_FOUND" },
  ],
  [
    "a version that is no number",
    () => execute({}, { headers: [["workflow_version", "latest"]] }),
    { status: 400, code: "InvalidArgument", reason: "VALIDATION_ERROR", text: /workflow_version/ },
  ],
  [
    "no key",
    () => ({ method: executeWorkflow, fields: execute().fields }),
    { status: 401, code: "Unauthenticated", reason: "MISSING_API_KEY" },
  ],
  [
    "credentials that are no API key",
    () => ({ method: executeWorkflow, fields: execute().fields, headers: [["authorization", "Basic dGs6"]] }),
    { status: 401, code: "Unauthenticated", reason: "MISSING_API_KEY", text: /authorization holds no bearer token/ },
  ],
  [
    "two keys",
    () => execute({}, { headers: [["authorization", `Bearer ${productionKey}`]] }),
    { status: 401, code: "Unauthenticated", reason: "INVALID_API_KEY", text: /different API keys/ },
  ],
  [
    "an unknown key",
    () => execute({}, { key: aKey }),
    { status: 401, code: "Unauthenticated", reason: "INVALID_API_KEY" },
  ],
  [
    "a malformed key",
    () => execute({}, { key: "x" }),
    { status: 401, code: "Unauthenticated", reason: "INVALID_API_KEY" },
  ],
  [
    "a payload over 1 MiB",
    () => execute({ payload: { text: "x".repeat(1024 ** 2) } }),
    { status: 413, code: "ResourceExhausted", reason: "PAYLOAD_TOO_LARGE", text: /1048576/ },
  ],
  [
    "a payload of more than 50,000 values",
    () => execute({ payload: { list: Array.from({ length: 50_000 }, () => 1) } }),
    { status: 413, code: "ResourceExhausted", reason: "PAYLOAD_TOO_LARGE", text: /50000/ },
  ],
  [
    "an object of more than 10,000 keys",
    () => execute({ payload: Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`k${index}`, 1])) }),
    { status: 413, code: "ResourceExhausted", reason: "PAYLOAD_TOO_LARGE", text: /10000/ },
  ],
  [
    "a payload that is nested 25 deep",
    () => execute({ payload: nested(26) }),
    { status: 400, code: "InvalidArgument", reason: "PAYLOAD_TOO_DEEP", text: /24/ },
  ],
  [
    "an integer that a double cannot hold",
    () => execute({ payload: { list: [1, { id: 2 ** 53 + 2 }] } }),
    { status: 400, code: "InvalidArgument", reason: "INVALID_JSON", text: /payload\.list\[1\]\.id/ },
  ],
  [
    "NUL in a text",
    () => execute({ payload: { a: { b: "x\u0000y" } } }),
    { status: 400, code: "InvalidArgument", reason: "INVALID_JSON", text: /payload\.a\.b/ },
  ],
];

describe("a refusal is the same on every protocol, and nothing is accepted", () => {
  test.each(refusals)("%s", async (_, call, expected) => checkRefused(call(), expected));

  test("a header and a field that disagree", async () => {
    const call = execute({ sync_execution: true }, { headers: [["sync_execution", "false"]] });
    for (const { name, answer } of (await everywhere(call)).filter((each) => each.name !== "REST")) {
      expect([name, answer.code, answer.reason]).toEqual([name, "InvalidArgument", "VALIDATION_ERROR"]);
    }
  });
});

test("the table runs each case over six protocols", () => {
  const names = protocols.map(({ name }) => name);
  expect(names).toEqual(["REST", "Connect JSON", "Connect binary", "gRPC-Web", "gRPC-Web text", "gRPC"]);
});
