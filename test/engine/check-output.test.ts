import { describe, expect, test } from "vitest";
import type { JsonLimits } from "../../src/domain/limits.ts";
import { NodeFailure } from "../../src/engine/errors/node-failure.ts";
import { checkOutput } from "../../src/engine/values/check-output.ts";

const limits: JsonLimits = { bytesMax: 100, valuesMax: 10, depthMax: 3, keysMax: 4 };

/** Expects the JSON text of a value, or the failure `REASON limit`. */
function check(value: unknown, expected: { text: string } | { failure: string }): void {
  let found: typeof expected;
  try {
    found = { text: checkOutput(value, limits) };
  } catch (error) {
    if (!(error instanceof NodeFailure)) {
      throw error;
    }
    found = { failure: `${error.reason} ${/output\.\w+/.exec(error.message)?.[0] ?? ""}`.trim() };
  }
  expect(found).toEqual(expected);
}

describe("what a node computed becomes plain JSON", () => {
  const sequence = Object.assign([1, undefined], { sequence: true, keepSingleton: true, push: () => 0 });
  const cases: readonly (readonly [string, unknown, string])[] = [
    ["undefined", undefined, "null"],
    ["null", null, "null"],
    ["a sequence", sequence, "[1,null]"],
    ["an undefined member", { a: undefined, b: 1 }, '{"b":1}'],
    ["an object without prototype", Object.assign(Object.create(null), { a: [] }), '{"a":[]}'],
    ["a member named __proto__", JSON.parse('{"__proto__":1}'), '{"__proto__":1}'],
    ["-0", -0, "0"],
    ["a text", 'é"\n', '"é\\"\\n"'],
    ["a value as deep as allowed", [[[1]]], "[[[1]]]"],
    ["as many values as allowed", [1, 2, 3, 4, 5, 6, 7, 8, 9], "[1,2,3,4,5,6,7,8,9]"],
    ["as many bytes as allowed", "x".repeat(98), `"${"x".repeat(98)}"`],
  ];
  test.each(cases)("%s", (_, value, text) => check(value, { text }));
});

describe("what JSON cannot say, or is over a limit, fails the node", () => {
  const ring: unknown[] = [];
  ring.push(ring);
  let bush: unknown = "leaf";
  for (let level = 0; level < 60; level += 1) {
    bush = [bush, bush];
  }
  let deep: unknown = 1;
  for (let level = 0; level < 100_000; level += 1) {
    deep = [deep];
  }
  const long = "x".repeat(60);
  const huge = "x".repeat(2 ** 28);
  const cases: readonly (readonly [string, unknown, string])[] = [
    ["NaN", Number.NaN, "OUTPUT_INVALID"],
    ["Infinity inside", [{ a: 1 / 0 }], "OUTPUT_INVALID"],
    ["a function", () => 1, "OUTPUT_INVALID"],
    ["a function inside", { a: [{ f: () => 1 }] }, "OUTPUT_INVALID"],
    ["a bigint", 1n, "OUTPUT_INVALID"],
    ["a symbol", Symbol("s"), "OUTPUT_INVALID"],
    ["a date", new Date(), "OUTPUT_INVALID"],
    ["a map", new Map(), "OUTPUT_INVALID"],
    ["NUL", "a\u0000b", "OUTPUT_INVALID"],
    ["NUL in a key", { "\u0000": 1 }, "OUTPUT_INVALID"],
    ["half a surrogate pair", "\ud83d", "OUTPUT_INVALID"],
    ["half a surrogate pair in a key", { "\ude00": 1 }, "OUTPUT_INVALID"],
    ["too many values", Array(10).fill(1), "OUTPUT_TOO_LARGE output.valuesMax"],
    ["too many members", { a: 1, b: 1, c: 1, d: 1, e: 1 }, "OUTPUT_TOO_LARGE output.keysMax"],
    ["too deep", [[[[]]]], "OUTPUT_TOO_LARGE output.depthMax"],
    ["so deep that recursion would fall over", deep, "OUTPUT_TOO_LARGE output.depthMax"],
    ["a value inside of itself", ring, "OUTPUT_TOO_LARGE output.depthMax"],
    ["few parts, named very often", bush, "OUTPUT_TOO_LARGE output.depthMax"],
    ["too many bytes", "x".repeat(99), "OUTPUT_TOO_LARGE output.bytesMax"],
    ["too many bytes of UTF-8", "é".repeat(50), "OUTPUT_TOO_LARGE output.bytesMax"],
    ["more bytes than a text can have", [huge, huge, huge], "OUTPUT_TOO_LARGE output.bytesMax"],
    ["too many bytes in one text named twice", [long, long], "OUTPUT_TOO_LARGE output.bytesMax"],
  ];
  test.each(cases)("%s", (_, value, failure) => check(value, { failure }));
});
