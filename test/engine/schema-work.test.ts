import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Problems } from "../../src/engine/errors/problems.ts";
import { compileSchema } from "../../src/engine/schema/compile-schema.ts";
import { tryPayload } from "../../src/engine/schema/payload-schema.ts";
import { workMax } from "../../src/engine/schema/schema-validation.ts";
import { Field } from "../../src/engine/templates/field.ts";
import { Names } from "../../src/engine/templates/names.ts";

function check(json: JsonObject, payload: JsonObject, budget = workMax) {
  const problems = new Problems(["1"]);
  const schema = compileSchema(json, new Field(new Names([], problems), "1", "schema"));
  expect(problems.errors).toEqual([]);
  return tryPayload(schema, payload, budget);
}

describe("a check has a budget of work", () => {
  const schema = { properties: { a: { items: { type: "string" } } } };
  const payload = { a: Array.from({ length: 100 }, () => "x") };

  test("that is a count, and so the same each time", () => {
    const { kind, work } = check(schema, payload);
    expect(kind).toBe("valid");
    expect(check(schema, payload)).toEqual({ kind: "valid", work });
    expect(check(schema, payload, work).kind).toBe("valid");
    expect(check(schema, payload, work - 1).kind).toBe("spent");
  });
});

const many = (count: number, make: (index: number) => JsonValue) =>
  Array.from({ length: count }, (_, index) => make(index));
const members = (count: number, make: (index: number) => JsonValue): JsonObject =>
  Object.fromEntries(many(count, make).map((value, index) => [`m${index}`, value]));
const names = (count: number) => many(count, (index) => `m${index}`);
const items = (schema: JsonObject): JsonObject => ({ properties: { a: { items: schema } } });
const forEach = (schema: JsonObject, count = 4_000): JsonObject => ({
  properties: { a: { allOf: many(count, () => schema) } },
});

describe("no keyword is free: the budget is spent within a moment", () => {
  const deep = many(40, () => null).reduce<JsonObject>((inner) => ({ a: inner }), {});
  const wrapped = many(900, () => null).reduce<JsonObject>((inner) => ({ allOf: [inner] }), {
    properties: members(4_000, () => ({})),
  });
  const spent: readonly (readonly [string, JsonObject, JsonObject])[] = [
    ["required × items", items({ required: names(40_000) }), { a: many(45_000, () => ({})) }],
    ["maxLength × allOf", forEach({ maxLength: 400_000 }), { a: "é".repeat(500_000) }],
    ["enum of containers × allOf", forEach({ enum: ["b", {}] }), { a: many(40_000, (index) => ({ a: index })) }],
    ["const × allOf", forEach({ const: {} }), { a: members(10_000, () => 1) }],
    ["uniqueItems × allOf", forEach({ uniqueItems: true }), { a: many(40_000, (index) => index) }],
    ["maxProperties × allOf", forEach({ maxProperties: 20_000 }), { a: members(10_000, () => 1) }],
    ["additionalProperties × allOf", forEach({ additionalProperties: false }), { a: members(10_000, () => 1) }],
    ["properties × items", items({ properties: members(4_000, () => ({})) }), { a: many(10_000, () => ({})) }],
    ["what nested schemas have looked at", { allOf: many(4, () => wrapped) }, members(4_000, () => 1)],
    ["unevaluatedProperties × allOf", forEach({ unevaluatedProperties: true }, 2_000), { a: members(10_000, () => 1) }],
    ["multipleOf", items({ allOf: many(100, () => ({ multipleOf: 5e-324 })) }), { a: many(45_000, () => 1e308) }],
    [
      "dependentRequired × items",
      items({ dependentRequired: { m0: names(40_000) } }),
      { a: many(45_000, () => ({ m0: 1 })) },
    ],
    ["references that double", { properties: { a: { allOf: [{ $ref: "#" }, { $ref: "#" }] } } }, deep],
    ["a pattern", forEach({ pattern: "[a-h]{1,50}[a-h]{1,50}[0-9]z" }, 90), { a: "a".repeat(9_000) }],
  ];
  test.each(spent)("%s", (_, schema, payload) => {
    const begin = process.threadCpuUsage().user;
    const { kind, work } = check(schema, payload);
    // The attack took 3 s to minutes; this is less than 1 s on a quiet machine.
    expect((process.threadCpuUsage().user - begin) / 1_000).toBeLessThan(5_000);
    expect(kind).toBe("spent");
    expect(work).toBeGreaterThan(workMax);
  });

  const cheap: readonly (readonly [string, JsonObject, JsonObject])[] = [
    ["minLength × allOf of a long text", forEach({ minLength: 250_000 }), { a: "é".repeat(500_000) }],
    [
      "one name required many times",
      items({ not: { required: many(40_000, () => "m0") } }),
      { a: many(12_000, () => ({})) },
    ],
    ["texts that are none of a list", forEach({ enum: ["a", "b"] }, 50), { a: "x".repeat(1_000_000) }],
  ];
  test.each(cheap)("%s is little work", (_, schema, payload) => {
    expect(check(schema, payload).work).toBeLessThan(workMax / 10);
  });
});

test("schemas that refer to one another in a long chain are compiled, and refused for a payload by their depth", () => {
  const count = 4_990;
  const chain = Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      `d${index}`,
      index === count - 1 ? {} : { $ref: `#/$defs/d${index + 1}` },
    ]),
  );
  const { kind } = check({ $ref: "#/$defs/d0", $defs: chain }, {});
  expect(kind).toBe("nested");
  expect(check({ $ref: "#/$defs/d4490", $defs: chain }, {}).kind).toBe("valid");
});

test("the length of a text is counted in characters", () => {
  const withLength = (length: number) => ({ properties: { a: { minLength: length, maxLength: length } } });
  for (const [text, length] of [
    ["", 0],
    ["ab", 2],
    ["é", 1],
    ["😀😀x", 3],
    ["\ud83d", 1],
    ["\ud83dx\ude00", 3],
  ] as const) {
    expect(check(withLength(length), { a: text }).kind).toBe("valid");
    for (const other of [length - 1, length + 1].filter((one) => one >= 0)) {
      expect(check(withLength(other), { a: text }).kind).toBe("invalid");
    }
  }
});

test("names in a message are cut", () => {
  const result = check({ additionalProperties: false }, { ["n".repeat(500_000)]: 1 });
  expect(JSON.stringify(result).length).toBeLessThan(1_000);
});
