import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Problems } from "../../src/engine/errors/problems.ts";
import { compileSchema } from "../../src/engine/schema/compile-schema.ts";
import { SchemaEvaluation, SchemaValidation, workMax } from "../../src/engine/schema/schema-validation.ts";
import { Field } from "../../src/engine/templates/field.ts";
import { Names } from "../../src/engine/templates/names.ts";

type Group = {
  readonly description: string;
  readonly schema: JsonObject | boolean;
  readonly tests: readonly { readonly description: string; readonly data: JsonValue; readonly valid: boolean }[];
};

/** Why a group may be refused when its schema is compiled: the message of the first problem, and the reason. */
const refusals = {
  "An $id inside of a schema is not supported": "a schema is one document, which an $id inside of it would divide",
  "resolves to nothing in this schema, and other documents are never fetched":
    "a schema is one document, and the server fetches nothing",
  "The schema must be one of draft 2020-12": "there is one dialect, and no author can define another",
} as const;

const folder = join(import.meta.dirname, "schema-suite");

function read(...path: readonly string[]): readonly Group[] {
  return JSON.parse(readFileSync(join(folder, ...path), "utf8"));
}

/** How each case of a file ends: as the suite says, otherwise, or not at all since the schema is refused. */
function run(groups: readonly Group[]) {
  const refused: { readonly why: string; readonly cases: number }[] = [];
  const wrong: string[] = [];
  let right = 0;
  for (const { description, schema: json, tests } of groups) {
    const problems = new Problems(["1"]);
    // The root of ours is an object, as that of every stored schema is.
    const root = typeof json === "boolean" ? { allOf: [json] } : json;
    const schema = compileSchema(root, new Field(new Names([], problems), "1", "schema"));
    const [problem] = problems.errors;
    if (problem !== undefined) {
      refused.push({ why: problem.message, cases: tests.length });
    }
    for (const one of problem === undefined ? tests : []) {
      const check = new SchemaValidation("payload", workMax);
      if (check.apply(schema, one.data, new SchemaEvaluation(check)) === one.valid) {
        right += 1;
      } else {
        wrong.push(`${description}: ${one.description}`);
      }
    }
  }
  return { right, wrong, refused };
}

const files = readdirSync(folder).filter((file) => file.endsWith(".json"));

describe("the official suite of JSON Schema 2020-12", () => {
  test.each(files)("%s: no case ends otherwise than it says, and a refusal has its reason", (file) => {
    const { right, wrong, refused } = run(read(file));
    expect(wrong).toEqual([]);
    expect(right + refused.length).toBeGreaterThan(0);
    const others = refused.filter(({ why }) => !Object.keys(refusals).some((known) => why.includes(known)));
    expect(others).toEqual([]);
  });

  test("has 1,299 cases, of which 1,187 end as it says and 112 are refused on purpose", () => {
    const ends = files.map((file) => run(read(file)));
    const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
    expect(sum(ends.map(({ right }) => right))).toBe(1_187);
    const byReason = Object.keys(refusals).map((known) => {
      const cases = ends.flatMap(({ refused }) => refused.filter(({ why }) => why.includes(known)));
      return sum(cases.map((one) => one.cases));
    });
    expect(byReason).toEqual([61, 46, 5]);
  });

  test.each(readdirSync(join(folder, "optional")))("optional/%s: no case ends otherwise than it says", (file) => {
    const { right, wrong } = run(read("optional", file));
    expect(wrong).toEqual([]);
    expect(right).toBeGreaterThan(0);
  });
});
