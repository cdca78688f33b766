import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { echoDefinition, putWorkflow, testKey } from "../support/flowcall.ts";
import { type ApiCall, allWaysOf } from "./protocols.ts";
import { useFlowcall } from "./use-flowcall.ts";

/*
 * What the larger table of `execute.test.ts` says over each protocol, a few of its cases say over every way in: each
 * protocol, on each HTTP that it allows, with and without gzip in both directions.
 */

const { executeWorkflow, getExecutionResponse } = ExecutionService.method;
const anId = expect.stringMatching(/^[0-9a-f]{24}$/);
const linked_account_id = "john@acme.io";

const flowcall = await useFlowcall();
const ways = allWaysOf(flowcall.url);

beforeAll(async () => {
  await putWorkflow(flowcall.url, { alias: "echo", definition: echoDefinition("{{event.body}}") });
});

function execute(fields: JsonObject, rest: Partial<ApiCall> = {}): ApiCall {
  const all = { workflow: "echo", linked_account_id, sync_execution: true, payload: { a: 1 }, ...fields };
  return { method: executeWorkflow, key: testKey, ...rest, fields: all };
}

/** Runs a call over every way, one after the other, so that one that hangs is named. */
async function check(call: ApiCall, expected: JsonObject): Promise<void> {
  for (const { name, call: send } of ways) {
    const { message, headers: _, ...answer } = await send(call);
    expect({ name, message, ...answer }).toMatchObject({ name, message: expected });
    expect({ name, ...answer }).not.toHaveProperty("reason");
  }
}

async function checkRefused(call: ApiCall, { status, code, reason }: { status: number; code: string; reason: string }) {
  for (const { name, call: send } of ways) {
    const answer = await send(call);
    expect([name, answer.reason]).toEqual([name, reason]);
    if (name.startsWith("REST")) {
      expect([name, answer.status]).toEqual([name, status]);
    } else {
      expect([name, answer.code]).toEqual([name, code]);
    }
  }
}

test("there are 22 ways in", () => {
  expect(new Set(ways.map(({ name }) => name)).size).toBe(22);
});

describe("every way in answers alike", () => {
  const large: JsonObject = { text: "Zeichen – 𝄞 – ".repeat(5_000), list: Array.from({ length: 2_000 }, (_, i) => i) };
  test.each<readonly [string, JsonValue]>([
    ["a small value", { a: [1, null, { b: "c" }] }],
    ["nothing", {}],
    ["a value that is worth packing", large],
    [
      "members with the names of what every object has",
      Object.fromEntries([
        ["__proto__", { a: 1 }],
        ["constructor", 1],
      ]),
    ],
  ])("%s", async (_, payload) => {
    await check(execute({ payload }), { return_value: payload, execution_id: anId });
  });

  test("an id, and later the response", async () => {
    const [way] = ways;
    const answer = await way?.call(execute({}));
    const execution_id = answer?.headers.get("x-execution-id") ?? "";
    const fields = { execution_id, linked_account_id };
    await check({ method: getExecutionResponse, key: testKey, fields }, { response: { a: 1 }, status: "COMPLETED" });
    await check(execute({ sync_execution: false }), { execution_id: anId });
  });

  test.each<readonly [string, () => ApiCall, Parameters<typeof checkRefused>[1]]>([
    [
      "no key",
      () => ({ method: executeWorkflow, fields: execute({}).fields }),
      { status: 401, code: "Unauthenticated", reason: "MISSING_API_KEY" },
    ],
    [
      "an unknown workflow",
      () => execute({ workflow: "nobody-knows" }),
      { status: 404, code: "NotFound", reason: "WORKFLOW_NOT_FOUND" },
    ],
    [
      "a payload over the limit",
      () => execute({ payload: { text: "x".repeat(1024 ** 2) } }),
      { status: 413, code: "ResourceExhausted", reason: "PAYLOAD_TOO_LARGE" },
    ],
    [
      "NUL in a text",
      () => execute({ payload: { a: "\0" } }),
      { status: 400, code: "InvalidArgument", reason: "INVALID_JSON" },
    ],
  ])("a refusal: %s", async (_, call, expected) => {
    await checkRefused(call(), expected);
  });
});
