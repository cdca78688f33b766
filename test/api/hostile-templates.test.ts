import type { JsonObject } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { type Flowcall, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";
import { type ApiProtocol, protocolsOf } from "./protocols.ts";

/* What a caller sends is only ever a value: wherever a template stands, nothing around it changes. */

const { executeWorkflow } = ExecutionService.method;
const anId = expect.stringMatching(/^[0-9a-f]{24}$/);
const x = "{{event.body.x}}";

let flowcall: Flowcall;
let protocols: readonly ApiProtocol[];

function linear(start: JsonObject, ...nodes: readonly JsonObject[]): JsonObject {
  const edges = nodes.map((_, index) => ({ source: String(index + 1), target: String(index + 2) }));
  return { nodes: [{ id: "1", name: "Start", start: { api_call: start } }, ...nodes], edges };
}

/** Start → Rule → a Response that says by which port. */
function compared(left: string, right: string): JsonObject {
  const says = (id: string, data: string) => ({ id, name: data, response: { data } });
  const rule = { match: "ANY", comparisons: [{ left, operator: "eq", right }] };
  return {
    nodes: [
      { id: "1", name: "Start", start: { api_call: {} } },
      { id: "2", name: "Rule", rule },
      says("3", "true"),
      says("4", "false"),
    ],
    edges: [
      { source: "1", target: "2" },
      { source: "2", target: "3", port: "true" },
      { source: "2", target: "4", port: "false" },
    ],
  };
}

const query = `{"whole": ${x}, "double": "a \\"<${x}>\\" b", "single": '<${x}>', "given": $, "last": 1}`;
const workflows: Readonly<Record<string, JsonObject>> = {
  json: linear(
    {},
    {
      id: "2",
      name: "Response",
      response: { data: `{"whole": "${x}", "bare": ${x}, "part": "a \\"<${x}>\\" b", "last": {"is": 1}}` },
    },
  ),
  query: linear(
    {},
    { id: "2", name: "Query", transform: { query, input: `<${x}>` } },
    { id: "3", name: "Response", response: { data: "{{node.2.body}}" } },
  ),
  terminate: linear({}, { id: "2", name: "End", terminate: { result: "ERROR", message: `Said <${x}> at last.` } }),
  output: linear(
    {
      output: [
        { key: "part", value: `<${x}>` },
        { key: "last", value: "1" },
      ],
    },
    { id: "2", name: "Query", transform: { query: "1" } },
  ),
  equal: compared(`<${x}>`, "<{{event.body.same}}>"),
  unequal: compared(`<${x}>`, "<{{event.body.other}}>"),
};

beforeAll(async () => {
  flowcall = await startFlowcall();
  protocols = protocolsOf(flowcall.url).filter(({ name }) => name === "REST" || name === "gRPC");
  for (const [alias, definition] of Object.entries(workflows)) {
    await putWorkflow(flowcall.url, { alias, definition });
  }
});

afterAll(async () => flowcall?.stop());

async function ask({ call }: ApiProtocol, workflow: string, text: string) {
  const payload = { x: text, same: text, other: "y", secret: "s3cret" };
  const fields = { workflow, linked_account_id: "john@acme.io", sync_execution: true, payload };
  return (await call({ method: executeWorkflow, fields, key: testKey })).message;
}

describe.each([
  '"',
  '"}, "admin": true, "x": "',
  '" or true or "',
  '" or true',
  "' & $eval('1') & '",
  "\\",
  '\\"',
  "a\r\nb: c\r\n\r\n",
  "\u2028\u2029",
  "{{event.body.secret}}",
  "{{event.body.x}}",
  "{{",
  "}}",
  "`x` & `secret`",
  "*/ 1 /*",
  "$secret",
  "\u0001\u007f",
])("%j comes back as it went in", (text) => {
  const cases: readonly (readonly [string, unknown])[] = [
    ["json", { whole: text, bare: text, part: `a "<${text}>" b`, last: { is: 1 } }],
    ["query", { whole: text, double: `a "<${text}>" b`, single: `<${text}>`, given: `<${text}>`, last: 1 }],
    ["output", { part: `<${text}>`, last: "1" }],
    ["equal", true],
    ["unequal", false],
  ];
  test.each(cases)("from %s", async (workflow, return_value) => {
    for (const protocol of protocols) {
      const answer = await ask(protocol, workflow, text);
      expect([protocol.name, answer]).toEqual([protocol.name, { return_value, execution_id: anId }]);
    }
  });

  test("from the message of a Terminate node", async () => {
    const error = { reason: "TERMINATED", message: `Said <${text}> at last.`, node_id: "2", node_name: "End" };
    for (const protocol of protocols) {
      const answer = await ask(protocol, "terminate", text);
      expect([protocol.name, answer]).toEqual([protocol.name, expect.objectContaining({ execution_id: anId, error })]);
    }
  });
});

test("the rows are asked over REST and gRPC", () => {
  expect(protocols.map(({ name }) => name)).toEqual(["REST", "gRPC"]);
});
