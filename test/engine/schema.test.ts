import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { RequestError } from "../../src/domain/request-error.ts";
import { Problems } from "../../src/engine/errors/problems.ts";
import { compileSchema } from "../../src/engine/schema/compile-schema.ts";
import { deriveSchemaOf } from "../../src/engine/schema/derive-schema.ts";
import { checkPayload } from "../../src/engine/schema/payload-schema.ts";
import { Field } from "../../src/engine/templates/field.ts";
import { Names } from "../../src/engine/templates/names.ts";

function compile(json: JsonObject) {
  const problems = new Problems(["1"]);
  const schema = compileSchema(json, new Field(new Names([], problems), "1", "schema"));
  return { schema, problems };
}

/** What is wrong with a payload, as `field rule`; throws where the schema has problems. */
function breaches(json: JsonObject, payload: JsonObject): readonly string[] {
  const { schema, problems } = compile(json);
  expect(problems.errors).toEqual([]);
  try {
    checkPayload(schema, payload);
    return [];
  } catch (error) {
    if (!(error instanceof RequestError)) {
      throw error;
    }
    if (error.reason !== "PAYLOAD_INVALID") {
      return [error.reason];
    }
    return (error.details.violations ?? []).map(({ field, rule }) => `${field} ${rule}`);
  }
}

/** A schema for the member `a`, values that it takes, and values that it does not take, each with the rule it breaks. */
type Case = {
  readonly a: JsonObject;
  readonly takes: readonly JsonValue[];
  readonly refuses: readonly [JsonValue, string][];
};

const cases: Readonly<Record<string, Case>> = {
  "a type": {
    a: { type: ["integer", "null"] },
    takes: [1, 1.0, null],
    refuses: [
      [1.5, "type"],
      ["1", "type"],
      [true, "type"],
    ],
  },
  "an enum and a const, whatever the order of members": {
    a: { enum: [{ x: 1, y: [2] }, "b"] },
    takes: [{ y: [2], x: 1 }, "b"],
    refuses: [
      [{ x: 1 }, "enum"],
      [["b"], "enum"],
    ],
  },
  "bounds of numbers": {
    a: { minimum: 1, exclusiveMaximum: 2, multipleOf: 0.0001 },
    takes: [1, 1.0075, "text"],
    refuses: [
      [0.9999, "minimum"],
      [2, "exclusiveMaximum"],
      [1.00005, "multipleOf"],
    ],
  },
  "lengths in characters, and a pattern anywhere in the text": {
    a: { minLength: 2, maxLength: 3, pattern: "a|😀" },
    takes: ["ab", "😀😀", 7],
    refuses: [
      ["a", "minLength"],
      ["aaaa", "maxLength"],
      ["bb", "pattern"],
    ],
  },
  "items of an array": {
    a: { prefixItems: [{ type: "string" }], items: { type: "number" }, minItems: 1, maxItems: 3, uniqueItems: true },
    takes: [["a"], ["a", 1, 2], {}],
    refuses: [
      [[], "minItems"],
      [["a", 1, 1], "uniqueItems"],
      [["a", 1, 2, 3], "maxItems"],
    ],
  },
  "what an array contains": {
    a: { contains: { type: "number" }, minContains: 2, maxContains: 2 },
    takes: [[1, "a", 2]],
    refuses: [
      [[1], "contains"],
      [[1, 2, 3], "contains"],
    ],
  },
  "members of an object": {
    a: {
      properties: { x: true },
      patternProperties: { "^p": { type: "number" } },
      additionalProperties: false,
      minProperties: 1,
      maxProperties: 2,
      propertyNames: { maxLength: 3 },
      dependentRequired: { x: ["p"] },
    },
    takes: [{ p1: 1 }, { x: 0, p: 2 }],
    refuses: [
      [{}, "minProperties"],
      [{ y: 1 }, "additionalProperties"],
      [{ x: 1 }, "dependentRequired"],
      [{ p123: 1 }, "propertyNames"],
    ],
  },
  "several schemas at once": {
    a: { anyOf: [{ type: "number" }, { type: "string" }], oneOf: [{ const: 1 }, { minimum: 5 }], not: { const: 7 } },
    takes: [1, 6, "text"],
    refuses: [
      [true, "anyOf"],
      [2, "oneOf"],
      [7, "not"],
    ],
  },
  "a condition": {
    a: JSON.parse('{ "if": { "type": "number" }, "then": { "minimum": 3 }, "else": { "minLength": 3 } }'),
    takes: [3, "abc"],
    refuses: [
      [2, "minimum"],
      ["ab", "minLength"],
    ],
  },
  "what no other schema has looked at": {
    a: {
      allOf: [{ properties: { x: true } }],
      anyOf: [{ required: ["y"], properties: { y: true } }, true],
      unevaluatedProperties: { type: "null" },
    },
    takes: [{ x: 1, y: 2, z: null }],
    refuses: [],
  },
  "a tree, by a reference to the schema itself": {
    a: { $ref: "#/$defs/tree" },
    takes: [{ kids: [{ kids: [] }] }],
    refuses: [["leaf", "type"]],
  },
};

describe("a payload keeps", () => {
  test.each(Object.entries(cases))("%s", (_, { a, takes, refuses }) => {
    const tree = { $anchor: "tree", type: "object", properties: { kids: { items: { $ref: "#tree" } } } };
    const schema = { properties: { a }, $defs: { tree } };
    for (const value of takes) {
      expect([value, breaches(schema, { a: value })]).toEqual([value, []]);
    }
    for (const [value, rule] of refuses) {
      expect([value, breaches(schema, { a: value })]).toEqual([value, [`payload.a schema.${rule}`]]);
    }
  });
});

test("every breach is told with its path", () => {
  const schema = {
    type: "object",
    required: ["id", "Task Name"],
    properties: { items: { items: { properties: { qty: { type: "integer", minimum: 1 } } } } },
  };
  expect(breaches(schema, { items: [{ qty: 0 }, { qty: "two" }, { qty: 1 }] })).toEqual([
    "payload schema.required",
    "payload schema.required",
    "payload.items[0].qty schema.minimum",
    "payload.items[1].qty schema.type",
  ]);
});

describe("a schema is refused", () => {
  test.each<[string, JsonObject]>([
    ["$ref", { $ref: "https://example.com/other.json" }],
    ["properties.a.$ref", { properties: { a: { $ref: "#/$defs/none" } } }],
    ["properties.a.$id", { properties: { a: { $id: "a.json" } } }],
    ["properties.a.pattern", { properties: { a: { pattern: "(a)\\1" } } }],
    ["properties.a.pattern", { properties: { a: { pattern: "(" } } }],
    ["properties.a.type", { properties: { a: { type: "text" } } }],
    ["items", { items: [{ type: "string" }] }],
    ["allOf[1]", { allOf: [true, 7] }],
    ["$schema", { $schema: "http://json-schema.org/draft-07/schema#" }],
    ["", { allOf: [{ $ref: "#" }] }],
  ])("for %s", (place, json) => {
    const { problems } = compile(json);
    expect(problems.errors.map(({ field, reason }) => `${field} ${reason}`)).toEqual([
      `${["schema", place].filter(Boolean).join(".")} SCHEMA_INVALID`,
    ]);
  });

  test("in part, where a keyword is none of the draft's", () => {
    const { problems } = compile({ properties: { a: { require: ["b"], format: "email" } } });
    expect(problems.errors).toEqual([]);
    expect(problems.warnings).toMatchObject([
      { field: "schema.properties.a.require", reason: "SCHEMA_KEYWORD_UNKNOWN" },
    ]);
  });
});

describe("no schema holds the process up", () => {
  test("by a pattern that a backtracking engine would try for years", () => {
    expect(breaches({ properties: { a: { pattern: "^(a+)+$" } } }, { a: `${"a".repeat(5_000)}b` })).toEqual([
      "payload.a schema.pattern",
    ]);
  });

  test("by references that double with each level, or by a pattern on a large text", () => {
    const doubling = { properties: { a: { allOf: [{ $ref: "#" }, { $ref: "#" }] } } };
    const deep = Array.from({ length: 40 }).reduce<JsonObject>((inner) => ({ a: inner }), {});
    expect(breaches(doubling, deep)).toEqual(["PAYLOAD_TOO_LARGE"]);
    expect(breaches({ properties: { a: { pattern: "(.{1,200}x)+y" } } }, { a: "ab".repeat(100_000) })).toEqual([
      "PAYLOAD_TOO_LARGE",
    ]);
  });
});

test("a schema that is made of a sample takes the sample, and refuses what lacks a part of it", () => {
  const sample = { name: "Ada", age: 36.5, tags: ["a", 1], items: [{ id: 1, note: null }, { id: 2 }], none: null };
  const schema = deriveSchemaOf(sample);
  expect(schema).toEqual({
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    properties: {
      name: { type: "string" },
      age: { type: "number" },
      tags: { type: "array", items: { type: ["string", "number"] } },
      items: {
        type: "array",
        items: { type: "object", properties: { id: { type: "number" }, note: {} }, required: ["id"] },
      },
      none: {},
    },
    required: ["name", "age", "tags", "items", "none"],
  });
  expect(breaches(schema, sample)).toEqual([]);
  expect(breaches(schema, { ...sample, items: [{}] })).toEqual(["payload.items[0] schema.required"]);
});
