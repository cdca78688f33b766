import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Problems } from "../../src/engine/problems.ts";
import { compileSchema } from "../../src/engine/schema/compile-schema.ts";
import { tryPayload } from "../../src/engine/schema/payload-schema.ts";
import { workMax } from "../../src/engine/schema/schema-run.ts";
import { Field, Names } from "../../src/engine/templates/field.ts";

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
