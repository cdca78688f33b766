import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { type Case, checkProblems, only, response } from "./definitions.ts";
import { type NodeJson, run, start } from "./workflow.ts";

const mapper = (more: JsonObject = {}, settings?: JsonObject): NodeJson => ({
  id: "m",
  data_mapper: { input: "{{event.body.input}}", mapping: "{{event.body.mapping}}", ...more },
  ...(settings && { settings }),
});

async function map(input: JsonValue | undefined, mapping: JsonValue | undefined, more: JsonObject = {}) {
  const body = { ...(input !== undefined && { input }), ...(mapping !== undefined && { mapping }) };
  const result = await run([start, mapper(more), response("r", "{{node.m.body}}")], ["start > m", "m > r"], { body });
  return { ...result, notes: result.records.find(({ path }) => path === "m")?.notes ?? [] };
}

describe("members are written under other names", () => {
  test.each<[string, JsonValue, JsonValue, JsonValue]>([
    ["unnamed ones are left out, null stays", { a: 1, b: null, c: 3 }, { b: "B", a: "A", x: "X" }, { B: null, A: 1 }],
    ["several names", { a: 1 }, { a: ["x", "y"] }, { x: 1, y: 1 }],
    ["null and an empty name leave out", { a: 1, b: 2, c: 3 }, { a: null, b: "", c: ["", "C"] }, { C: 3 }],
    ["a list of objects", [{ a: 1 }, {}], { a: "A" }, [{ A: 1 }, {}]],
    ["pairs of key and value", { a: 1 }, [{ key: "a", value: "A" }], { A: 1 }],
    ["pairs of source and destination", { a: 1 }, [{ source: "a", destination: ["A", "B"] }], { A: 1, B: 1 }],
    ["dots are literal", { "a.b": 1, a: { b: 2 } }, { "a.b": "c.d" }, { "c.d": 1 }],
    ["names that every object has", { a: 1 }, { toString: "t", a: "constructor" }, { constructor: 1 }],
    ["nothing to map", {}, {}, {}],
  ])("%s", async (_, input, mapping, output) => {
    const { response: text, notes } = await map(input, mapping);
    expect(text).toEqual(output);
    expect(notes).toEqual([]);
  });

  test("in the order of the mapping, and of the constants of a definition", async () => {
    const { outcome } = await map(
      { a: 1, b: 2 },
      {},
      { mapping: '{"b": "x{{event.body.none}}", "a": "{{event.body.none}}", "c": "d"}' },
    );
    expect(outcome.response).toBe('{"x":2}');
    expect((await map({ a: 1, b: 2 }, { b: "2", a: "1x" })).outcome.response).toBe('{"2":2,"1x":1}');
  });

  test("and back", async () => {
    const more = { direction: "DESTINATION_TO_SOURCE" };
    expect((await map({ A: 1, B: 2, a: 3 }, { a: "A", b: ["B", "A"] }, more)).response).toEqual({ a: 1, b: 1 });
  });

  test("where two get one name the last of the mapping is kept, and that is noted", async () => {
    const { response: output, notes } = await map({ b: 2, a: 1 }, { a: "x", b: "x" });
    expect(output).toEqual({ x: 2 });
    expect(notes).toEqual([expect.stringContaining('MAPPER_COLLISION: several members are written as "x"')]);
  });
});

test.each<[string, JsonValue | undefined, JsonValue | undefined]>([
  ["input", undefined, { a: "A" }],
  ["input", null, { a: "A" }],
  ["mapping", { a: 1 }, undefined],
  ["mapping", [], null],
])("a null %s gives nothing, with a note, and ends no branch", async (what, input, mapping) => {
  const { outcome, response: output, notes } = await map(input, mapping);
  expect([outcome.state, output]).toEqual(["COMPLETED", {}]);
  expect(notes).toContain(`The ${what} is null, so the output is empty.`);
});

test.each<[string, JsonValue, JsonValue, string]>([
  ["MAPPER_INPUT_INVALID", "text", {}, "The input is no object."],
  ["MAPPER_INPUT_INVALID", [{}, null], {}, "Item 1 of the input is no object."],
  ["MAPPER_INPUT_INVALID", [[{}]], {}, "Item 0"],
  ["MAPPER_MAPPING_INVALID", {}, "text", "neither an object nor a list"],
  ["MAPPER_MAPPING_INVALID", {}, { a: 5 }, 'what "a" becomes'],
  ["MAPPER_MAPPING_INVALID", {}, { a: ["x", null] }, 'what "a" becomes'],
  ["MAPPER_MAPPING_INVALID", {}, [{ value: "x" }], "pair 0 has no text"],
  ["MAPPER_MAPPING_INVALID", {}, ["a"], "pair 0 has no text"],
  [
    "OUTPUT_TOO_LARGE",
    Array(1_000).fill({ a: 1 }),
    { a: Array.from({ length: 1_000 }, (_, i) => `n${i}`) },
    "50000 values",
  ],
  ["OUTPUT_INVALID", { a: 1 }, { a: "\u0000" }, ""],
])("%s: %j by %j", async (reason, input, mapping, message) => {
  const { outcome } = await map(input, mapping);
  expect(outcome).toMatchObject({ state: "ERRORED", error: { reason, message: expect.stringContaining(message) } });
});

describe("problems of a definition", () => {
  const cases: readonly Case[] = [
    ["an empty mapping", only(mapper({ mapping: "" })), "JSON_INVALID m data_mapper.mapping"],
    ["an input that is no JSON", only(mapper({ input: "{a}" })), "JSON_INVALID m data_mapper.input"],
    ["an unknown node", only(mapper({ input: "{{node.x.body}}" })), "TEMPLATE_NODE_UNKNOWN m data_mapper.input"],
  ];
  test.each(cases.map(([name, definition, ...errors]) => ({ name, definition, errors })))(
    "$name",
    ({ definition, errors }) => checkProblems(definition, { errors }),
  );

  test("a retry policy and a time-out have no effect", () =>
    checkProblems(only(mapper({}, { retry: { max_attempts: 3, delay_ms: 1 }, timeout_ms: 5 })), {
      warnings: ["SETTING_IGNORED m settings", "SETTING_IGNORED m settings"],
    }));
});
