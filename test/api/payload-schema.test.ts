import type { JsonObject } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { echoDefinition, type Flowcall, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";
import { type ApiProtocol, protocolsOf } from "./protocols.ts";

const { executeWorkflow, listExecutions } = ExecutionService.method;
const { validateDraft } = WorkflowService.method;
const account = "john@acme.io";
const workflow = "orders";

let flowcall: Flowcall;
let protocols: readonly ApiProtocol[];

const schema: JsonObject = {
  type: "object",
  required: ["customer"],
  properties: { items: { type: "array", items: { properties: { qty: { type: "integer" } } } } },
};

beforeAll(async () => {
  flowcall = await startFlowcall();
  protocols = protocolsOf(flowcall.url);
  const definition = echoDefinition("{{event.body.customer}}", { api_call: { payload: { customer: "Ada" }, schema } });
  await putWorkflow(flowcall.url, { alias: workflow, definition });
});

afterAll(async () => flowcall?.stop());

test("a payload that breaks the schema is refused with every breach, on every protocol, and nothing is created", async () => {
  const fields = { workflow, linked_account_id: account, sync_execution: true };
  for (const { name, call } of protocols) {
    const payload = { items: [{ qty: 1 }, { qty: "two" }, { qty: 0.5 }] };
    const refused = await call({ method: executeWorkflow, key: testKey, fields: { ...fields, payload } });
    expect([name, refused.reason]).toEqual([name, "PAYLOAD_INVALID"]);
    expect(refused.code ?? refused.status).toBe(refused.status === undefined ? "InvalidArgument" : 400);
    expect(refused.violations).toEqual(["payload", "payload.items[1].qty", "payload.items[2].qty"]);
    expect(refused.text).toContain('payload must have the member "customer".');
  }
  const list = { method: listExecutions, key: testKey, fields: { workflow } };
  for (const { call } of protocols.slice(0, 1)) {
    expect((await call(list)).message).toEqual({ executions: [] });
  }
  for (const { call } of protocols) {
    const payload = { customer: "Ada", items: [{ qty: 1 }] };
    const { message } = await call({ method: executeWorkflow, key: testKey, fields: { ...fields, payload } });
    expect(message).toMatchObject({ return_value: "Ada" });
  }
});

test("a schema is made of the sample payload, where it is asked for", async () => {
  for (const { call } of protocols) {
    const { message } = await call({ method: validateDraft, key: testKey, fields: { workflow, derive_schema: true } });
    expect(message).toMatchObject({
      errors: [],
      derived_schema: { type: "object", properties: { customer: { type: "string" } }, required: ["customer"] },
    });
  }
});

test("a schema that cannot be used is a problem of the draft, and a sample that breaks it a warning", async () => {
  const check = async (trigger: JsonObject) => {
    const definition = echoDefinition("1", { api_call: trigger });
    const [rest] = protocols;
    return (await rest?.call({ method: validateDraft, key: testKey, fields: { workflow, definition } }))?.message;
  };
  expect(await check({ schema: { properties: { a: { $ref: "http://127.0.0.1/other" } } } })).toMatchObject({
    errors: [{ node_id: "1", field: "start.api_call.schema.properties.a.$ref", reason: "SCHEMA_INVALID" }],
  });
  expect(await check({ payload: {}, schema })).toMatchObject({
    errors: [],
    warnings: [{ node_id: "1", field: "start.api_call.payload", reason: "SAMPLE_INVALID" }],
  });
});
