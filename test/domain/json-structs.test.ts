import { create, fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { readMessage, writeMessage } from "../../src/domain/json/json-structs.ts";
import { WorkflowDefinitionSchema } from "../../src/gen/flowcall/v1/definition_pb.ts";
import { DraftSchema, SaveDraftRequestSchema, WorkflowSchema } from "../../src/gen/flowcall/v1/workflow_pb.ts";

const payload = { a: [1, { b: null, "": "é" }], c: {}, d: [[]], e: 1.5, f: true };

/** What a definition may hold where a Struct stands, or beside one. */
const definitions: readonly (readonly [name: string, definition: JsonObject])[] = [
  ["an object", { nodes: [{ id: "1", start: { api_call: { payload, schema: { type: "object" } } } }] }],
  ["an empty object", { nodes: [{ id: "1", start: { api_call: { payload: {} } } }] }],
  ["null", { nodes: [{ id: "1", start: { api_call: { payload: null, schema: payload } } }] }],
  ["nothing", { nodes: [{ id: "1", start: { api_call: {} } }, { id: "2", start: {} }, { id: "3" }] }],
  [
    "a member that objects have by nature",
    JSON.parse('{"nodes":[{"start":{"api_call":{"payload":{"__proto__":1}}}}]}'),
  ],
  ["several nodes", { nodes: [1, 2, 3].map((id) => ({ id: String(id), start: { api_call: { payload: { id } } } })) }],
  [
    "another kind of node",
    { nodes: [{ id: "1", response: { data: "{{x}}" } }], edges: [{ source: "1", target: "2" }] },
  ],
];

test.each(definitions)("a definition is read and written as protobuf-es does: %s", (_, definition) => {
  const json = { definition };
  const text = JSON.stringify(json);
  const message = readMessage(SaveDraftRequestSchema, json);
  expect(message).toEqual(fromJson(SaveDraftRequestSchema, json));
  expect(JSON.stringify(json)).toBe(text);
  const draft = create(DraftSchema, { workflowId: "w", ...(message.definition && { definition: message.definition }) });
  const own = JSON.stringify(toJson(DraftSchema, draft, { alwaysEmitImplicit: true }));
  expect(JSON.stringify(writeMessage(DraftSchema, draft, { alwaysEmitImplicit: true }))).toBe(own);
  // Writing takes nothing out of the message.
  expect(message).toEqual(fromJson(SaveDraftRequestSchema, json));
});

test("the object of a Struct is the one that was read, of the message itself too", () => {
  const definition = readMessage(WorkflowDefinitionSchema, { nodes: [{ start: { api_call: { payload } } }] });
  const { kind } = definition.nodes[0] ?? { kind: { case: undefined } };
  expect(kind.case === "start" && kind.value.trigger.value?.payload).toBe(payload);
  const workflow = readMessage(WorkflowSchema, { id: "w", payload });
  expect(workflow.payload).toBe(payload);
  expect(writeMessage(WorkflowSchema, workflow)).toEqual({ id: "w", payload });
});

test.each([
  ["a text", { nodes: [{ start: { api_call: { payload: "x" } } }] }],
  ["a list", { nodes: [{ start: { api_call: { payload: [] } } }] }],
  ["an unknown member beside it", { nodes: [{ start: { api_call: { payload, other: 1 } } }] }],
  ["no list around it", { nodes: { start: { api_call: { payload } } } }],
])("what protobuf-es refuses where a Struct stands is refused: %s", (_, definition) => {
  expect(() => fromJson(WorkflowDefinitionSchema, definition)).toThrow();
  expect(() => readMessage(WorkflowDefinitionSchema, definition)).toThrow();
});
