import { clone, create, equals, fromBinary, isMessage, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { carriedText, jsonTextOf, parseJson, valueMessage } from "../../src/domain/json/json-parse.ts";
import { scanJson } from "../../src/domain/json/json-scan.ts";
import { defaultLimits } from "../../src/domain/limits.ts";
import {
  ExecuteWorkflowRequestSchema,
  ExecuteWorkflowResponseSchema,
  ExecutionResultSchema,
} from "../../src/gen/flowcall/v1/execution_pb.ts";

const rules = { name: "payload", limits: defaultLimits.payload };

/** The text as a door would have it. */
function check(text: string) {
  return scanJson(Buffer.from(text), rules);
}

const spaced = '{ "a": [1, 2], "Task Name": "é", "n": null, "deep": {"b": [true, {"c": 1.5}]} }';

test("an object or array that was parsed from text is that very text again, as long as it is itself", () => {
  const value = parseJson(check(spaced));
  expect(value).toEqual(JSON.parse(spaced));
  expect(jsonTextOf(value, rules)).toBe(spaced);
  expect(jsonTextOf(parseJson(check("[ 1 ]")), rules)).toBe("[ 1 ]");
  expect(JSON.stringify(value)).toBe(JSON.stringify(JSON.parse(spaced)));
  if (typeof value !== "object" || value === null) {
    throw new Error("not an object");
  }
  expect(carriedText({ ...value })).toBeUndefined();
  expect(carriedText(Object.assign({}, value))).toBeUndefined();
  expect(carriedText(structuredClone(value))).toBeUndefined();
});

test("a scalar, and a value that carries no text, is checked and written", () => {
  expect(jsonTextOf(parseJson(check(' "x" ')), rules)).toBe('"x"');
  expect(jsonTextOf({ a: [1] }, rules)).toBe('{"a":[1]}');
  expect(() => jsonTextOf({ a: [Number.NaN] }, rules)).toThrow("payload.a[0] holds NaN");
});

test("an array is refused where an object is asked for, even when it carries its text", () => {
  expect(() => jsonTextOf(parseJson(check("[]")), { ...rules, root: "object" })).toThrow("must be a JSON object");
});

test("a Struct field keeps the object with its text", () => {
  const payload = parseJson(check(spaced));
  if (typeof payload !== "object" || payload === null || Array.isArray(payload)) {
    throw new Error("not an object");
  }
  const request = create(ExecuteWorkflowRequestSchema, { workflow: "create-task", payload });
  expect(request.payload).toBe(payload);
  expect(create(ExecuteWorkflowRequestSchema, request).payload).toBe(payload);
  const read = fromBinary(ExecuteWorkflowRequestSchema, toBinary(ExecuteWorkflowRequestSchema, request));
  expect(read.payload).toEqual(JSON.parse(spaced));
});

test.each([spaced, "null", "[]", '"x"', "-0.5", "true", '{"__proto__":{"a":1}}'])("%s is a Value message", (text) => {
  const value = valueMessage(check(text));
  const plain: JsonValue = JSON.parse(text);
  expect(carriedText(value)).toBe(text);
  expect(isMessage(value, ValueSchema)).toBe(true);
  const response = create(ExecuteWorkflowResponseSchema, { returnValue: value, executionId: "1" });
  expect(response.returnValue).toBe(value);
  expect(toJson(ExecuteWorkflowResponseSchema, response)).toEqual({ return_value: plain, execution_id: "1" });
  const read = fromBinary(ExecuteWorkflowResponseSchema, toBinary(ExecuteWorkflowResponseSchema, response));
  expect(toJson(ExecuteWorkflowResponseSchema, read)).toEqual({ return_value: plain, execution_id: "1" });
  const copy = clone(ExecuteWorkflowResponseSchema, response);
  expect(equals(ExecuteWorkflowResponseSchema, copy, response)).toBe(true);
  expect(toJson(ExecutionResultSchema, create(ExecutionResultSchema, { response: value }))).toEqual({
    response: plain,
  });
});

test("the messages of a Value are built when they are asked for, and once", () => {
  const value: Value = valueMessage(check(spaced));
  expect(value.kind).toBe(value.kind);
  expect(value.kind.case).toBe("structValue");
});
