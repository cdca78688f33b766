import { create, type DescMessage, fromBinary, fromJson, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { ListValueSchema, SourceCodeInfo_LocationSchema, StructSchema, ValueSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkJson } from "../../src/domain/json/json-check.ts";
import { valueMessage } from "../../src/domain/json/json-parse.ts";
import type { JsonText } from "../../src/domain/json/json-text.ts";
import { defaultLimits, type JsonLimits } from "../../src/domain/limits.ts";
import { RequestError } from "../../src/domain/request-error.ts";
import { type WorkflowDefinition, WorkflowDefinitionSchema } from "../../src/gen/flowcall/v1/definition_pb.ts";
import { ExecuteWorkflowRequestSchema, ExecuteWorkflowResponseSchema } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { SaveDraftRequestSchema } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.ts";
import { messageFromBinary, messageToBinary } from "../../src/rpc/connect/wire/wire-message.ts";
import { scanWire } from "../../src/rpc/connect/wire/wire-scan.ts";

const limits = defaultLimits.payload;

type Refusal = { readonly reason: string; readonly metadata?: object };

/** Scans a message: it passes and can be decoded, or is refused as told. */
function check(guarantee: string, { bytes, desc = ExecuteWorkflowRequestSchema, within = {}, refusal }: Case): void {
  test(guarantee, () => {
    const verdict = scan(bytes, desc, { ...limits, ...within });
    if (refusal) {
      expect(verdict).toMatchObject({ reason: refusal.reason, details: { metadata: refusal.metadata ?? {} } });
    } else {
      expect(verdict).toBeUndefined();
      fromBinary(desc, bytes);
    }
  });
}

type Case = {
  readonly bytes: Uint8Array;
  readonly desc?: DescMessage;
  readonly within?: Partial<JsonLimits>;
  readonly refusal?: Refusal;
};

function scan(bytes: Uint8Array, desc: DescMessage, within: JsonLimits): RequestError | undefined {
  try {
    scanWire(bytes, desc, within);
    return undefined;
  } catch (error) {
    if (error instanceof RequestError) {
      return error;
    }
    throw error;
  }
}

/** Protobuf by hand. */
const varint = (number: number, value: number) => Buffer.of(number << 3, value);
const bytesOf = (number: number, ...parts: readonly Uint8Array[]) => {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.of((number << 3) | 2), lengthOf(content.length), content]);
};
const lengthOf = (length: number): Buffer =>
  length < 0x80 ? Buffer.of(length) : Buffer.concat([Buffer.of((length & 0x7f) | 0x80), lengthOf(length >>> 7)]);
const textOf = (number: number, text: string) => bytesOf(number, Buffer.from(text));
const double = (value: number) => {
  const bytes = Buffer.alloc(9, (2 << 3) | 1);
  bytes.writeDoubleLE(value, 1);
  return bytes;
};
const entry = (...parts: readonly Uint8Array[]) => bytesOf(1, ...parts);
const member = (key: string, ...kind: readonly Uint8Array[]) => entry(textOf(1, key), bytesOf(2, ...kind));
const payload = (...entries: readonly Uint8Array[]) => bytesOf(2, ...entries);
const isTrue = varint(4, 1);

const request = (json: JsonObject) =>
  toBinary(ExecuteWorkflowRequestSchema, create(ExecuteWorkflowRequestSchema, { workflow: "w", payload: json }));

const nested = (depth: number): JsonObject => (depth === 1 ? {} : { a: nested(depth - 1) });

describe("limits", () => {
  check("an empty message passes", { bytes: Buffer.alloc(0) });
  check("a message with a payload passes", { bytes: request({ a: [1, "b", null, true, { c: {} }], __proto__x: 1 }) });
  check("a payload at the depth limit passes", { bytes: request(nested(24)) });
  check("a payload beyond the depth limit is refused", {
    bytes: request(nested(25)),
    refusal: { reason: "PAYLOAD_TOO_DEEP", metadata: { limit: "depth", max: "24", value: "25" } },
  });
  check("a list is a container", {
    bytes: request({ a: { b: [[]] } }),
    within: { depthMax: 3 },
    refusal: { reason: "PAYLOAD_TOO_DEEP", metadata: { field: "payload.a.b[0]" } },
  });
  check("as many values as the limit pass", { bytes: request({ a: [1, 2] }), within: { valuesMax: 4 } });
  check("more values are refused", {
    bytes: request({ a: [1, 2] }),
    within: { valuesMax: 3 },
    refusal: { reason: "PAYLOAD_TOO_LARGE", metadata: { limit: "values", max: "3", field: "payload.a[1]" } },
  });
  check("as many members as the limit pass", { bytes: request({ a: 1, b: 2 }), within: { keysMax: 2 } });
  check("more members are refused", {
    bytes: request({ x: { a: 1, b: 2, c: 3 } }),
    within: { keysMax: 2 },
    refusal: { reason: "PAYLOAD_TOO_LARGE", metadata: { limit: "keys", max: "2", field: "payload.x.c" } },
  });
  check("a message beyond the bytes limit is refused", {
    bytes: request({ a: "x".repeat(100) }),
    within: { bytesMax: 100 },
    refusal: { reason: "PAYLOAD_TOO_LARGE", metadata: { limit: "bytes", max: "100" } },
  });
  check("values are counted for each value of its own", {
    bytes: toBinary(
      WorkflowDefinitionSchema,
      definitionWith([
        { a: 1, b: 2 },
        { a: 1, b: 2 },
      ]),
    ),
    desc: WorkflowDefinitionSchema,
    within: { valuesMax: 3 },
  });
  check("a value inside a list of messages has its place named", {
    bytes: toBinary(WorkflowDefinitionSchema, definitionWith([{ a: 1 }, { a: 1, "b c": [2] }])),
    desc: WorkflowDefinitionSchema,
    within: { valuesMax: 3 },
    refusal: {
      reason: "PAYLOAD_TOO_LARGE",
      metadata: { field: 'nodes[1].start.api_call.payload["b c"][0]' },
    },
  });
  check("a ListValue that stands alone is a container and a value", {
    bytes: toBinary(ListValueSchema, fromJson(ListValueSchema, [1, 2])),
    desc: ListValueSchema,
    within: { valuesMax: 2 },
    refusal: { reason: "PAYLOAD_TOO_LARGE", metadata: { field: "[1]" } },
  });
  check("a Value that stands alone is a value, and no container", {
    bytes: toBinary(ValueSchema, fromJson(ValueSchema, "text")),
    desc: ValueSchema,
    within: { valuesMax: 1, depthMax: 0 },
  });
});

function definitionWith(payloads: readonly JsonObject[]): WorkflowDefinition {
  return fromJson(WorkflowDefinitionSchema, {
    nodes: payloads.map((json, index) => ({ id: String(index), start: { api_call: { payload: json } } })),
  });
}

describe("what JSON has no form for", () => {
  const refuse = (field: string): { refusal: Refusal } => ({
    refusal: { reason: "INVALID_JSON", metadata: { field } },
  });

  check("a key given twice is refused", {
    bytes: payload(member("a", isTrue), member("b", bytesOf(5, member("x", isTrue), member("x", isTrue)))),
    ...refuse("payload.b.x"),
  });
  check("a key given twice is refused though it is empty and left out once", {
    bytes: payload(member("", isTrue), entry(bytesOf(2, isTrue))),
    ...refuse('payload[""]'),
  });
  check("one key in two objects passes", {
    bytes: payload(member("a", bytesOf(5, member("a", isTrue))), member("b", bytesOf(5, member("a", isTrue)))),
  });
  check("a key given twice in one entry is refused", {
    bytes: payload(entry(textOf(1, "a"), textOf(1, "b"), bytesOf(2, isTrue))),
    ...refuse("payload.a"),
  });
  check("a key given twice in a map of texts is refused", {
    bytes: Buffer.concat([bytesOf(3, textOf(1, "a")), bytesOf(3, textOf(1, "a"))]),
    desc: ErrorInfoSchema,
    ...refuse("metadata.a"),
  });
  check("two values in one entry are refused", {
    bytes: payload(entry(textOf(1, "a"), bytesOf(2, isTrue), bytesOf(2, isTrue))),
    ...refuse("payload.a"),
  });
  check("two kinds in one Value are refused", {
    bytes: payload(member("a", isTrue, textOf(3, "b"))),
    ...refuse("payload.a"),
  });
  check("a Value without a kind is refused", { bytes: payload(member("a")), ...refuse("payload.a") });
  check("an entry without a Value is refused", { bytes: payload(entry(textOf(1, "a"))), ...refuse("payload.a") });
  check("two payloads are refused, not merged", {
    bytes: Buffer.concat([payload(member("a", isTrue)), payload(member("b", isTrue))]),
    ...refuse("payload"),
  });
  check("a text field given twice is refused", {
    bytes: Buffer.concat([textOf(1, "a"), textOf(1, "b")]),
    ...refuse("workflow"),
  });
  check("text that is not UTF-8 is refused", {
    bytes: payload(member("a", bytesOf(3, Buffer.of(0xff)))),
    ...refuse("payload.a"),
  });
  check("a surrogate in UTF-8's form is refused", {
    bytes: payload(member("a", bytesOf(3, Buffer.of(0xed, 0xa0, 0x80)))),
    ...refuse("payload.a"),
  });
  check("NUL is refused in a value", { bytes: payload(member("a", textOf(3, "\0"))), ...refuse("payload.a") });
  check("NUL is refused in a key", { bytes: payload(member("a\0", isTrue)), ...refuse("payload") });
  check("NUL is refused in a field", { bytes: textOf(3, "john\0"), ...refuse("linked_account_id") });
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
    check(`the number ${value} is refused`, { bytes: payload(member("a", double(value))), ...refuse("payload.a") });
    // definition.nodes[0].start.api_call, and its sample or its schema.
    const panel = (field: number) =>
      bytesOf(3, bytesOf(1, bytesOf(10, bytesOf(1, bytesOf(field, member("a", double(value)))))));
    for (const [field, name] of [
      [1, "payload"],
      [3, "schema"],
    ] as const) {
      check(`the number ${value} is refused in a definition's ${name}`, {
        bytes: panel(field),
        desc: SaveDraftRequestSchema,
        ...refuse(`definition.nodes[0].start.api_call.${name}.a`),
      });
    }
  }
  check("numbers that JSON and a double share pass", {
    bytes: payload(member("a", double(-0)), member("b", double(2 ** 53 - 1)), member("c", double(1e300))),
  });
});

describe("what is not protobuf", () => {
  const malformed: Readonly<Record<string, Uint8Array>> = {
    "a tag that is cut off": Buffer.of(0x80),
    "a tag of eleven bytes": Buffer.alloc(11, 0xff),
    "a tag of six bytes that is small": Buffer.of(0x8a, 0x80, 0x80, 0x80, 0x80, 0, 1, 119),
    "the field number 0": Buffer.of(0x02, 0x00),
    "a field number beyond 2^29": Buffer.of(0xfa, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00),
    "the wire type 6": Buffer.of((20 << 3) | 6),
    "the wire type 7 of a known field": Buffer.of((1 << 3) | 7),
    "a text that is cut off": Buffer.of(0x0a, 5, 0x61),
    "a length of many gigabytes": Buffer.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f),
    "a length of ten bytes": Buffer.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
    "a number without an end": Buffer.concat([Buffer.of(5 << 3), Buffer.alloc(11, 0x80)]),
    "an unknown number that is cut off": Buffer.of(0xa1, 0x01, 0, 0, 0),
    "a field that ends beyond its message": Buffer.of(0x12, 3, 0x0a, 5, 0x0a, 0, 0, 0, 0),
    "a text in the place of a number": textOf(5, "true"),
    "a number in the place of a message": varint(2, 1),
    "an end of a group that never started": Buffer.of((20 << 3) | 4),
    "a group without an end": Buffer.of(0xa3, 0x01),
    "a group that ends as another": Buffer.of(0xa3, 0x01, 0xac, 0x01),
    "a group that ends beyond its message": Buffer.concat([payload(Buffer.of(0xa3, 0x01)), Buffer.of(0xa4, 0x01)]),
  };
  for (const [what, bytes] of Object.entries(malformed)) {
    check(`${what} is refused`, {
      bytes,
      refusal: { reason: "VALIDATION_ERROR" },
    });
  }
});

describe("lists of numbers", () => {
  const desc = SourceCodeInfo_LocationSchema;
  check("a packed list passes", { desc, bytes: bytesOf(1, Buffer.of(1, 0x80, 1, 3)) });
  check("a list that is not packed passes", { desc, bytes: Buffer.concat([varint(1, 1), varint(1, 2)]) });
  check("a packed list in which a number is cut off is refused", {
    desc,
    bytes: Buffer.concat([bytesOf(1, Buffer.of(0x80)), textOf(3, "a")]),
    refusal: { reason: "VALIDATION_ERROR" },
  });
});

describe("what is not known", () => {
  check("unknown fields of every wire type are passed over", {
    bytes: Buffer.concat([
      Buffer.of(0xa0, 0x01, 0xff, 0x01),
      Buffer.of(0xa1, 0x01, 1, 2, 3, 4, 5, 6, 7, 8),
      Buffer.of(0xa2, 0x01, 2, 0xff, 0xff),
      Buffer.of(0xa3, 0x01, 0x0a, 1, 0, 0xa3, 0x01, 0xa4, 0x01, 0xa4, 0x01),
      Buffer.of(0xa5, 0x01, 1, 2, 3, 4),
      textOf(1, "w"),
    ]),
  });
  check("99 groups inside one another pass", { bytes: groups(99) });
  check("a hundred groups inside one another are refused", {
    bytes: groups(100),
    refusal: { reason: "PAYLOAD_TOO_DEEP", metadata: { max: "100" } },
  });
  check("a million groups inside one another are refused", {
    bytes: Buffer.alloc(1_000_000, (7 << 3) | 3),
    refusal: { reason: "PAYLOAD_TOO_DEEP" },
    desc: StructSchema,
  });
});

function groups(depth: number): Uint8Array {
  return Buffer.concat([
    Buffer.alloc(2 * depth, Buffer.of(0xa3, 0x01)),
    Buffer.alloc(2 * depth, Buffer.of(0xa4, 0x01)),
  ]);
}

const jsonObject = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 }), { maxKeys: 6 });

test("a payload gets the verdict that its JSON gets", () => {
  const within = fc.record({
    bytesMax: fc.constant(1_000_000),
    valuesMax: fc.integer({ min: 1, max: 12 }),
    depthMax: fc.integer({ min: 1, max: 5 }),
    keysMax: fc.integer({ min: 1, max: 5 }),
  });
  fc.assert(
    fc.property(jsonObject, within, (json, rules) => {
      const value: JsonObject = JSON.parse(JSON.stringify(json));
      let expected = "passes";
      try {
        checkJson(value, { name: "payload", limits: rules });
      } catch {
        expected = "refused";
      }
      const verdict = scan(request(value), ExecuteWorkflowRequestSchema, rules);
      expect(verdict ? "refused" : "passes").toBe(expected);
    }),
    { numRuns: 2_000 },
  );
});

test("whatever the bytes are, they can be decoded or are refused with a reason", () => {
  const valid = fc.oneof(
    jsonObject.map((json) => request(JSON.parse(JSON.stringify(json)))),
    fc.uint8Array({ maxLength: 64 }),
  );
  const change = fc.record({ at: fc.nat(), length: fc.nat({ max: 4 }), put: fc.uint8Array({ maxLength: 4 }) });
  fc.assert(
    fc.property(valid, fc.array(change, { maxLength: 3 }), (bytes, changes) => {
      let changed = Buffer.from(bytes);
      for (const { at, length, put } of changes) {
        const start = at % (changed.length + 1);
        changed = Buffer.concat([changed.subarray(0, start), put, changed.subarray(start + length)]);
      }
      for (const desc of [ExecuteWorkflowRequestSchema, WorkflowDefinitionSchema, StructSchema]) {
        if (scan(changed, desc, limits) === undefined) {
          fromBinary(desc, changed);
        }
      }
    }),
    { numRuns: 5_000 },
  );
});

test("a message is read as protobuf-es reads it, and the object of a Struct is that of its JSON", () => {
  const nested = fc.array(jsonObject, { maxLength: 3 }).map((payloads) => definitionWith(payloads.map(plain)));
  fc.assert(
    fc.property(jsonObject.map(plain), nested, (json, definition) => {
      const bytes = toBinary(SaveDraftRequestSchema, create(SaveDraftRequestSchema, { workflow: "w", definition }));
      // Numbers that a double cannot hold are refused.
      fc.pre(scan(request(json), ExecuteWorkflowRequestSchema, limits) === undefined);
      fc.pre(scan(bytes, SaveDraftRequestSchema, limits) === undefined);
      const read = messageFromBinary(ExecuteWorkflowRequestSchema, request(json), limits);
      expect(read).toEqual(create(ExecuteWorkflowRequestSchema, { workflow: "w", payload: json }));
      expect(messageFromBinary(SaveDraftRequestSchema, bytes, limits)).toEqual(
        fromBinary(SaveDraftRequestSchema, bytes),
      );
    }),
    { numRuns: 300 },
  );
  const odd: JsonObject = JSON.parse('{"__proto__":{"__proto__":[null,true,-0.5,"é"]},"1":{"":[]},"constructor":{}}');
  const read = messageFromBinary(ExecuteWorkflowRequestSchema, request(odd), limits);
  expect("payload" in read && JSON.stringify(read.payload)).toBe(JSON.stringify(odd));
});

test("a message is written so that protobuf-es reads it as one of its own", () => {
  fc.assert(
    fc.property(fc.oneof(jsonObject, fc.jsonValue({ maxDepth: 3 })), jsonObject.map(plain), (value, payload) => {
      // Written by JSON.stringify.
      const text = JSON.stringify(value) as JsonText;
      const response = create(ExecuteWorkflowResponseSchema, { executionId: "1", returnValue: valueMessage(text) });
      const read = fromBinary(ExecuteWorkflowResponseSchema, messageToBinary(ExecuteWorkflowResponseSchema, response));
      const own = fromBinary(ExecuteWorkflowResponseSchema, toBinary(ExecuteWorkflowResponseSchema, response));
      expect(read).toEqual(own);
      const asked = create(ExecuteWorkflowRequestSchema, { workflow: "w", payload });
      const written = messageToBinary(ExecuteWorkflowRequestSchema, asked);
      expect(written.length).toBe(toBinary(ExecuteWorkflowRequestSchema, asked).length);
      expect(fromBinary(ExecuteWorkflowRequestSchema, written)).toEqual(asked);
    }),
    { numRuns: 300 },
  );
  const long = { a: "é".repeat(20_000), ["b".repeat(200)]: Array.from({ length: 300 }, (_, index) => [index, null]) };
  const asked = create(ExecuteWorkflowRequestSchema, { payload: long });
  const written = messageToBinary(ExecuteWorkflowRequestSchema, asked);
  expect(fromBinary(ExecuteWorkflowRequestSchema, written)).toEqual(asked);
});

function plain(value: object): JsonObject {
  return JSON.parse(JSON.stringify(value));
}
