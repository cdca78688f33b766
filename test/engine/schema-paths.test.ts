import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { isObject } from "../../src/domain/json/violations.ts";
import { RequestError } from "../../src/domain/request-error.ts";
import { Problems } from "../../src/engine/errors/problems.ts";
import { compileSchema } from "../../src/engine/schema/compile-schema.ts";
import { anyItem, type Step } from "../../src/engine/schema/path-step.ts";
import { checkPayload } from "../../src/engine/schema/payload-schema.ts";
import { SchemaPaths } from "../../src/engine/schema/schema-paths.ts";
import type { Schema } from "../../src/engine/schema/schema-validation.ts";
import { Field } from "../../src/engine/templates/field.ts";
import { Names } from "../../src/engine/templates/names.ts";
import { walk } from "../../src/engine/templates/reference.ts";

// Few names, so that schemas, payloads and paths meet.
const names = fc.constantFrom("a", "b", "ab", "0", "1");

const payloads = fc.letrec<{ value: JsonValue; object: JsonObject }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", maxDepth: 3 },
    fc.constantFrom<JsonValue>(null, 1, "a", true),
    fc.array(tie("value"), { maxLength: 3 }),
    tie("object"),
  ),
  object: fc.dictionary(names, tie("value"), { maxKeys: 3 }),
}));

const types = fc.constantFrom("object", "array", "string", "integer", "null");

/** Each keyword that has to do with members and items, alone and beside others. */
const { schema: schemas } = fc.letrec<{ schema: JsonValue }>((tie) => {
  const schema = tie("schema");
  const members = fc.dictionary(names, schema, { maxKeys: 3 });
  const some = fc.array(schema, { minLength: 1, maxLength: 2 });
  const keywords: Readonly<Record<string, fc.Arbitrary<JsonValue>>> = {
    type: fc.oneof(types, fc.uniqueArray(types, { minLength: 1, maxLength: 3 })),
    properties: members,
    patternProperties: fc.dictionary(fc.constantFrom("^a", "b$", "\\d"), schema, { maxKeys: 2 }),
    additionalProperties: schema,
    unevaluatedProperties: schema,
    propertyNames: fc.oneof(fc.record({ enum: fc.array(names) }), fc.record({ pattern: fc.constant("^a") }), schema),
    required: fc.uniqueArray(names, { maxLength: 1 }),
    items: schema,
    prefixItems: some,
    maxItems: fc.nat(2),
    unevaluatedItems: schema,
    contains: schema,
    allOf: some,
    anyOf: some,
    oneOf: some,
    not: schema,
    if: schema,
    // biome-ignore lint/suspicious/noThenProperty: it is a keyword.
    then: schema,
    else: schema,
    dependentSchemas: members,
    enum: fc.array(payloads.value, { minLength: 1, maxLength: 3 }),
    const: payloads.value,
    $ref: fc.constantFrom("#/$defs/one", "#/$defs/two"),
  };
  const pairs = Object.entries(keywords).map(([name, value]) => fc.tuple(fc.constant(name), value));
  const few = fc.array(fc.oneof(...pairs), { minLength: 1, maxLength: 4 }).map((some) => Object.fromEntries(some));
  return {
    schema: fc.oneof({ depthSize: "small", maxDepth: 4 }, fc.constantFrom<JsonValue>(true, true, false), few),
  };
});

const roots = fc
  .tuple(schemas, schemas, schemas)
  .map(([root, one, two]) => ({ ...(typeof root === "object" ? (root as JsonObject) : {}), $defs: { one, two } }));

/** A value that may well be as a schema asks: few that are made without it are. */
function aim(json: JsonValue | undefined, root: JsonObject, random: () => number, depth = 0): JsonValue {
  const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)];
  if (typeof json !== "object" || json === null || Array.isArray(json) || depth > 6) {
    return pick<JsonValue>([null, 1, "a", {}, { a: 1 }, { b: { a: [] } }, [{ b: 1 }], [1, { a: 1 }]]) ?? null;
  }
  const { const: only, enum: values, $ref, allOf, anyOf, oneOf, if: condition, then: holds, else: fails } = json;
  const inPlace = [allOf, anyOf, oneOf].flatMap((list) => (Array.isArray(list) ? list : []));
  const others = [...inPlace, ...[condition, holds, fails].filter((one) => one !== undefined)];
  if (typeof $ref === "string") {
    others.push(Object(root["$defs"])[$ref.slice("#/$defs/".length)]);
  }
  if (others.length > 0 && random() < 0.5) {
    return aim(pick(others), root, random, depth + 1);
  }
  if (only !== undefined) {
    return only;
  }
  if (Array.isArray(values)) {
    return pick(values) ?? null;
  }
  const { type = ["object", "array"], properties, patternProperties, additionalProperties } = json;
  const { prefixItems, items, maxItems = 3 } = json;
  switch (pick([type].flat())) {
    case "object": {
      const named = { ab: additionalProperties, a: Object(patternProperties)["^a"], ...Object(properties) };
      const members = Object.entries<JsonValue>(named).filter(() => random() < 0.7);
      return Object.fromEntries(members.map(([name, inner]) => [name, aim(inner, root, random, depth + 1)]));
    }
    case "array": {
      const first = Array.isArray(prefixItems) ? prefixItems : [];
      const length = Math.min(Number(maxItems), first.length + Math.floor(random() * 3));
      return Array.from({ length }, (_, index) => aim(first[index] ?? items, root, random, depth + 1));
    }
    default:
      return pick([null, 1, "a"]) ?? null;
  }
}

/** Numbers from 0 to 1, the same for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Every path into a value, with each index as itself and as any. */
function pathsInto(value: JsonValue): readonly (readonly Step[])[] {
  if (typeof value !== "object" || value === null) {
    return [[]];
  }
  const steps = Array.isArray(value)
    ? value.flatMap((item, index): [Step, JsonValue][] => [
        [String(index), item],
        [anyItem, item],
      ])
    : Object.entries(value);
  return [[], ...steps.flatMap(([step, inner]) => pathsInto(inner).map((path): readonly Step[] => [step, ...path]))];
}

function compile(json: JsonObject): Schema | undefined {
  const problems = new Problems(["1"]);
  const schema = compileSchema(json, new Field(new Names([], problems), "1", "schema"));
  return problems.errorCount === 0 ? schema : undefined;
}

function takes(schema: Schema, payload: JsonObject): boolean {
  try {
    checkPayload(schema, payload);
    return true;
  } catch (error) {
    if (!(error instanceof RequestError)) {
      throw error;
    }
    return false;
  }
}

test("no payload that a schema takes has a path that was warned of as excluded", () => {
  const count = { taken: 0, excluded: 0 };
  const asked = fc.array(names, { minLength: 1, maxLength: 3 });
  const given = fc.array(payloads.object, { maxLength: 4 });
  const property = fc.property(roots, given, fc.nat(), asked, (json, made, seed, path) => {
    const schema = compile(json);
    if (schema === undefined) {
      return;
    }
    const random = randomOf(seed);
    const aimed = Array.from({ length: 12 }, () => aim(json, json, random)).filter(isObject);
    const some = [...made, ...aimed];
    const paths = new SchemaPaths(json);
    if (!paths.mayResolve(path)) {
      count.excluded += 1;
    }
    for (const payload of some.filter((one) => takes(schema, one))) {
      count.taken += 1;
      for (const there of pathsInto(payload)) {
        if (!paths.mayResolve(there)) {
          expect.fail(`${JSON.stringify(payload)} has ${String(there.map(String))}`);
        }
      }
      // What a template gives for the path that is asked, as the engine reads it.
      if (walk(payload, path) !== undefined) {
        expect(paths.mayResolve(path)).toBe(true);
      }
    }
  });
  fc.assert(property, { numRuns: 1_000 });
  // Neither side of it is empty.
  expect(count.taken).toBeGreaterThan(500);
  expect(count.excluded).toBeGreaterThan(100);
});

test("a schema excludes a path by each rule that is written down, and by no other", () => {
  const excluded: readonly [JsonObject, readonly Step[]][] = [
    [{ properties: { a: false } }, ["a"]],
    [{ properties: { a: { type: "string" } } }, ["a", "b"]],
    [{ properties: { a: { type: "array" } } }, ["a", "b"]],
    [{ properties: { a: { enum: [{ b: 1 }, 2] } } }, ["a", "c"]],
    [{ properties: { a: { const: { b: [1] } } } }, ["a", "b", "1"]],
    [{ additionalProperties: false, properties: { a: true } }, ["b"]],
    [{ additionalProperties: false, patternProperties: { "^a": true } }, ["b"]],
    [{ patternProperties: { "^a": { type: "number" } } }, ["ab", "c"]],
    [{ propertyNames: { pattern: "^a" } }, ["b"]],
    [{ propertyNames: { enum: ["a"] } }, ["b"]],
    [{ unevaluatedProperties: false, allOf: [{ properties: { a: true } }] }, ["b"]],
    [{ properties: { a: { type: "array", items: { type: "string" } } } }, ["a", anyItem, "b"]],
    [{ properties: { a: { type: "array", prefixItems: [true], items: false } } }, ["a", "1"]],
    [{ properties: { a: { type: "array", maxItems: 2 } } }, ["a", "2"]],
    [{ $ref: "#/$defs/x", $defs: { x: { properties: { a: false } } } }, ["a"]],
    [{ allOf: [{ properties: { a: false } }] }, ["a"]],
    [{ anyOf: [{ properties: { a: false } }, { additionalProperties: false }] }, ["a"]],
    [{ oneOf: [{ properties: { a: false } }, { additionalProperties: false }] }, ["a"]],
    // biome-ignore lint/suspicious/noThenProperty: it is a keyword.
    [{ if: { required: ["b"] }, then: { properties: { a: false } }, else: { properties: { a: false } } }, ["a"]],
  ];
  const admitted: readonly [JsonObject, readonly Step[]][] = [
    [{ properties: { a: { items: { type: "string" } } } }, ["a", "0", "b"]],
    [{ properties: { a: { prefixItems: [{ type: "string" }, {}], items: false } } }, ["a", anyItem, "b"]],
    [{ properties: { a: { prefixItems: [{ type: "string" }] } } }, ["a", anyItem, "b"]],
    [{ not: { properties: { a: false } } }, ["a"]],
    [{ unevaluatedProperties: false, dependentSchemas: { b: { properties: { a: true } } } }, ["a"]],
    [{ additionalProperties: false, patternProperties: { "^a": true } }, ["ab"]],
    [{ $ref: "#named", $defs: { x: { $anchor: "named", properties: { a: false } } } }, ["a"]],
  ];
  for (const [json, path] of excluded) {
    expect([json, new SchemaPaths(json).mayResolve(path)]).toEqual([json, false]);
  }
  for (const [json, path] of admitted) {
    expect([json, new SchemaPaths(json).mayResolve(path)]).toEqual([json, true]);
  }
});

test("a schema that doubles at each reference is given up and excludes nothing, in little time", () => {
  const $defs = Object.fromEntries(
    Array.from({ length: 1_000 }, (_, index) => {
      const next = { $ref: `#/$defs/d${index + 1}` };
      return [`d${index}`, { anyOf: [{ allOf: [next, { not: next }] }, next], unevaluatedProperties: false }];
    }),
  );
  const json = { $ref: "#/$defs/d0", $defs: { ...$defs, d1000: { properties: { a: false } } } };
  expect(new SchemaPaths(json).mayResolve(["a"])).toBe(true);
});
