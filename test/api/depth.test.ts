import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, test } from "vitest";
import { defaultLimits } from "../../src/domain/limits.ts";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { echoDefinition, testKey as key, putWorkflow } from "../support/flowcall.ts";
import { account, executionCalls } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

/* What is nested as deep as allowed passes through everything, and one container more is told alike, on each protocol. */

const { executeWorkflow, getExecution, getExecutionResponse, getNodeRun } = ExecutionService.method;
const payloadDepth = defaultLimits.payload.depthMax;
const outputDepth = defaultLimits.output.depthMax;
const anId = expect.stringMatching(/^[0-9a-f]{24}$/);

type Kind = "arrays" | "objects" | "both";

const flowcall = await useFlowcall();
const calls = executionCalls(flowcall.url);

beforeAll(async () => {
  await putWorkflow(flowcall.url, { alias: "echo", definition: echoDefinition("{{event.body}}") });
  for (const depth of [outputDepth, outputDepth + 1]) {
    // JSON text with too many containers of its own cannot be published; these come around the payload's.
    const around = JSON.stringify(nested(depth - payloadDepth)).replace("1", "{{event.body}}");
    await putWorkflow(flowcall.url, { alias: `text-${depth}`, definition: echoDefinition(around) });
    const transform = { id: "2", name: "Deep", transform: { query: JSON.stringify(nested(depth)) } };
    await putWorkflow(flowcall.url, {
      alias: `query-${depth}`,
      definition: chain({ api_call: {} }, [transform, { id: "3", response: { data: "{{node.2.body}}" } }]),
    });
    const inner = { id: "2", name: "Deep", transform: { query: JSON.stringify(nested(depth - 1)) } };
    const output = [{ key: "a", value: "{{node.2.body}}" }];
    await putWorkflow(flowcall.url, { alias: `start-${depth}`, definition: chain({ api_call: { output } }, [inner]) });
  }
});

function chain(start: JsonObject, nodes: readonly JsonObject[]): JsonObject {
  const edges = nodes.map((_, index) => ({ source: String(index + 1), target: String(index + 2) }));
  return { nodes: [{ id: "1", name: "Start", start }, ...nodes], edges };
}

/** An object of so many containers, and a number in the innermost. */
function nested(depth: number, kind: Kind = "objects"): JsonObject {
  let value: JsonValue = 1;
  for (let level = depth; level > 1; level -= 1) {
    value = kind === "arrays" || (kind === "both" && level % 2 === 0) ? [value] : { a: value };
  }
  return { a: value };
}

function execute(workflow: string, payload: JsonObject = {}): JsonObject {
  return { workflow, linked_account_id: account, sync_execution: true, payload };
}

const kinds: readonly (readonly [Kind, string])[] = [
  ["objects", `payload${".a".repeat(payloadDepth)}`],
  ["arrays", `payload.a${"[0]".repeat(payloadDepth - 1)}`],
  ["both", `payload.a${"[0].a".repeat(payloadDepth / 2)}`.replace(/\.a$/, "")],
];

describe.each(kinds)("a payload of nested %s", (kind, path) => {
  test(`comes back from ${payloadDepth} containers`, async () => {
    const payload = nested(payloadDepth, kind);
    await calls.check(executeWorkflow, execute("echo", payload), { return_value: payload, execution_id: anId });
  });

  test(`is refused with ${payloadDepth + 1}, by the path of the innermost`, async () => {
    const payload = nested(payloadDepth + 1, kind);
    const found = await Promise.all(
      calls.protocols.map(async ({ name, call }) => {
        const { reason, text = "" } = await call({ method: executeWorkflow, fields: execute("echo", payload), key });
        return [name, reason, /^(\S+) is nested deeper than 24 containers/.exec(text)?.[1]];
      }),
    );
    expect(found).toEqual(calls.protocols.map(({ name }) => [name, "PAYLOAD_TOO_DEEP", path]));
  });
});

describe.each(["text", "query", "start"])("a response that is nested by %s", (by) => {
  test(`is answered with ${outputDepth} containers, by each call that reads it`, async () => {
    const deepest = nested(outputDepth);
    const fields = execute(`${by}-${outputDepth}`, nested(payloadDepth));
    await calls.check(executeWorkflow, fields, { return_value: deepest, execution_id: anId });
    const execution_id = await calls.start(fields);
    const asked = { execution_id, linked_account_id: account };
    await calls.check(getExecutionResponse, asked, { response: deepest, status: "COMPLETED" });
    await calls.check(getExecution, { execution_id }, expect.objectContaining({ response: deepest }));
    if (by === "query") {
      const run = { execution_id, node_id: "2" };
      await calls.check(getNodeRun, run, expect.objectContaining({ output: deepest }));
    }
  });

  test(`fails the execution with ${outputDepth + 1}`, async () => {
    const fields = execute(`${by}-${outputDepth + 1}`, nested(payloadDepth));
    for (const { name, call } of calls.protocols) {
      const { message } = await call({ method: executeWorkflow, fields, key });
      const error = expect.objectContaining({
        reason: "OUTPUT_TOO_LARGE",
        message: expect.stringMatching(/more than 32 nested containers \(limit output\.depthMax\)/),
      });
      const status = name === "REST" ? { error_code: "WORKFLOW_ERRORED" } : { status: "ERRORED" };
      expect([name, message]).toEqual([name, expect.objectContaining({ ...status, execution_id: anId, error })]);
    }
  });
});
