import { create, type DescMessage, type Message } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { parseJson, valueMessage } from "../../src/domain/json/json-parse.ts";
import { scanJson } from "../../src/domain/json/json-scan.ts";
import { writeJson } from "../../src/domain/json/json-writer.ts";
import { defaultLimits } from "../../src/domain/limits.ts";
import {
  ExecuteWorkflowResponseSchema,
  ExecutionResultSchema,
  ExecutionResult_Status as Status,
} from "../../src/gen/flowcall/v1/execution_pb.ts";
import { ListWorkflowsResponseSchema, WorkflowSchema } from "../../src/gen/flowcall/v1/workflow_pb.ts";

const text = (source: string) => scanJson(Buffer.from(source), { name: "", limits: defaultLimits.output });
const spaced = '{ "b": 1e2 }';

/** The message as text, once its fields have been read by nobody. */
function check(schema: DescMessage, message: Message): string {
  return writeJson(schema, message);
}

test("a value that carries its text is written as that text", () => {
  const message = create(ExecuteWorkflowResponseSchema, { returnValue: valueMessage(text(spaced)), executionId: "1" });
  expect(check(ExecuteWorkflowResponseSchema, message)).toBe(`{"return_value":${spaced},"execution_id":"1"}`);
  expect(message.returnValue).toBeDefined();
  const alone = create(ExecutionResultSchema, { response: valueMessage(text("null")), status: Status.RUNNING });
  expect(check(ExecutionResultSchema, alone)).toBe('{"response":null,"status":"RUNNING"}');
});

test("a Struct that carries its text is written as that text, and a copy of it is written again", () => {
  const payload = parseJson(text(spaced));
  if (typeof payload !== "object" || payload === null || Array.isArray(payload)) {
    throw new Error("not an object");
  }
  const named = { id: "1", slug: "s", name: "n", url: "/x" };
  expect(check(WorkflowSchema, create(WorkflowSchema, { ...named, payload }))).toBe(
    `{"payload":${spaced},"id":"1","slug":"s","name":"n","url":"/x","etag":"","method":""}`,
  );
  const changed = { ...payload, c: 1 };
  expect(check(WorkflowSchema, create(WorkflowSchema, { ...named, payload: changed }))).toBe(
    '{"id":"1","slug":"s","name":"n","url":"/x","payload":{"b":100,"c":1},"etag":"","method":""}',
  );
});

test("a value without text, and one deeper in the message, is written as any other", () => {
  const plain = create(ValueSchema, { kind: { case: "stringValue", value: 'a"' } });
  const result = create(ExecutionResultSchema, { response: plain, status: Status.COMPLETED });
  expect(check(ExecutionResultSchema, result)).toBe('{"response":"a\\"","status":"COMPLETED"}');
  const workflow = create(WorkflowSchema, { id: "1", url: "/x" });
  expect(check(ListWorkflowsResponseSchema, create(ListWorkflowsResponseSchema, { workflows: [workflow] }))).toBe(
    '{"workflows":[{"id":"1","slug":"","name":"","url":"/x","etag":"","method":""}]}',
  );
});

test("nothing is written for what is absent; what cannot be is written though it be empty", () => {
  expect(check(ExecuteWorkflowResponseSchema, create(ExecuteWorkflowResponseSchema))).toBe('{"execution_id":""}');
  expect(check(ListWorkflowsResponseSchema, create(ListWorkflowsResponseSchema))).toBe('{"workflows":[]}');
});
