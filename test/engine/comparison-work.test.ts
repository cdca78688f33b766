import type { JsonValue } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ComparisonWork, comparisonWorkMax, Operand } from "../../src/engine/comparison/operand.ts";
import { type OperatorName, operators } from "../../src/engine/comparison/operators.ts";
import { TextSearch } from "../../src/engine/comparison/text-search.ts";
import { NodeFailure } from "../../src/engine/errors/node-failure.ts";
import { run, start } from "./workflow.ts";

const many = (count: number, make: (index: number) => JsonValue) =>
  Array.from({ length: count }, (_, index) => make(index));

/** Expects what a comparison gives, within a fraction of the seconds to hours that it took before. */
function check(left: JsonValue, operator: OperatorName, right: JsonValue, expected: boolean) {
  const work = new ComparisonWork();
  const begin = process.threadCpuUsage().user;
  expect(operators[operator].holds(new Operand(left, work), new Operand(right, work))).toBe(expected);
  expect((process.threadCpuUsage().user - begin) / 1_000).toBeLessThan(1_000);
}

describe("a comparison takes time linear in its sides", () => {
  const objects = many(24_000, (index) => ({ a: index }));
  const members = Object.fromEntries(objects.slice(0, 10_000).map((object, index) => [`m${index}`, object]));
  const words = many(1_000, (index) => `w${index}`).join(",");
  const half = "a".repeat(250_000);
  const cases: readonly (readonly [string, JsonValue, OperatorName, JsonValue, boolean])[] = [
    ["a large container in a list of small ones", many(1_000, () => ({})), "contains", objects, false],
    ["an object of many members in a list", many(1_000, () => ({})), "contains", members, false],
    ["a large container among words", objects, "included_in", words, false],
    ["a large container among containers", objects, "included_in", many(1_000, () => [{ a: 0 }]), false],
    ["a long number in a list of numbers", many(20_000, (index) => index), "contains", "1".repeat(500_000), false],
    ["a text that makes native search go back at each place", `${half}${half}`, "contains", `${half}b${half}`, false],
    ["a text of like with many %", half, "like", `${"%a".repeat(15)}b`, false],
  ];
  test.each(cases)("%s", (_, left, operator, right, expected) => check(left, operator, right, expected));
});

test("a Rule that compares large values many times fails its node, by the limit's name", async () => {
  const comparison = { left: "{{event.body.l}}", operator: "eq", right: "{{event.body.r}}" };
  const comparisons = Array.from({ length: 200 }, () => comparison);
  const nodes = [start, { id: "r", rule: { match: "ANY", comparisons } }];
  const body = {
    l: many(40_000, (index) => index),
    r: many(40_000, (index) => (index < 39_999 ? index : -1)),
  };
  const { outcome } = await run(nodes, ["start > r"], { body });
  expect(outcome.error).toMatchObject({ reason: "COMPARISON_TOO_LARGE", node_id: "r" });
  expect(outcome.error?.message).toContain(`${comparisonWorkMax} characters`);
  expect(outcome.error?.message).toContain("comparison_work");
});

test("work is counted over all comparisons of one evaluation", () => {
  const work = new ComparisonWork();
  work.spend(comparisonWorkMax);
  expect(() => work.spend(1)).toThrow(NodeFailure);
});

test("linear search finds what native search finds", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 40 });
  fc.assert(
    fc.property(letters, letters, fc.nat(60), (wanted, text, from) => {
      // Long enough that the linear algorithm is chosen.
      const [pattern, searched] = [wanted.repeat(120), text.repeat(3_000) + wanted.repeat(121)];
      expect(new TextSearch(pattern).indexOf(searched, from)).toBe(searched.indexOf(pattern, from));
    }),
    { numRuns: 50 },
  );
});

test("a text with many templates of a large value fails before it is put together", async () => {
  const body = { s: "x".repeat(1_000_000), o: { a: "y".repeat(900_000) } };
  for (const data of [
    `"${"{{event.body.s}}".repeat(4_000)}"`,
    `[${Array.from({ length: 2_000 }, () => '"-{{event.body.o}}"').join(",")}]`,
  ]) {
    const begin = process.threadCpuUsage().user;
    const { outcome } = await run([start, { id: "r", response: { data } }], ["start > r"], { body });
    expect(outcome.error).toMatchObject({ reason: "OUTPUT_TOO_LARGE", node_id: "r" });
    expect(outcome.error?.message).toContain("1048576 characters (limit output.bytesMax)");
    expect((process.threadCpuUsage().user - begin) / 1_000).toBeLessThan(1_500);
  }
});
