import type { JsonValue } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { matchesLike } from "../../src/engine/comparison/like-pattern.ts";
import { ComparisonWork, Operand } from "../../src/engine/comparison/operand.ts";
import { type OperatorName, operators } from "../../src/engine/comparison/operators.ts";
import { run, start } from "./workflow.ts";

/** Expects whether `left operator right` holds. */
function check(left: JsonValue, operator: OperatorName, right: JsonValue, expected: boolean): void {
  const work = new ComparisonWork();
  expect(
    operators[operator].holds(new Operand(left, work), new Operand(right, work)),
    `${JSON.stringify(left)} ${operator} ${JSON.stringify(right)}`,
  ).toBe(expected);
}

type Row = readonly [left: JsonValue, right: JsonValue, expected: boolean];

describe("two values are equal within one type domain, and unequal otherwise", () => {
  const rows: readonly Row[] = [
    ["5.50", "5.5", true],
    ["007", "7", false],
    ["007", 7, false],
    [7, "7", true],
    [7, "7.0", true],
    ["1e3", 1000, false],
    ["1e3", "1000", false],
    ["0e1234", "0e5678", false],
    ["1E3", "1e3", false],
    [1e21, 1e21, true],
    [1e21, "1000000000000000000000", true],
    ["1.10", "1.1", true],
    ["-0", "0", true],
    ["0.10", "0.1", true],
    ["9007199254740993", "9007199254740992", false],
    ["90071992547409930000000001", "90071992547409930000000001.0", true],
    ["1e999999999", "1e999999998", false],
    ["5 ", 5, false],
    ["+5", "5", false],
    [" 5", "5", false],
    ["5.", "5", false],
    ["0x10", "16", false],
    ["abc", "abc", true],
    ["abc", "ABC", false],
    ["", "", true],
    ["", "0", false],
    [true, "true", true],
    [true, "True", false],
    [true, 1, false],
    [false, "", false],
    [null, null, true],
    [null, "null", true],
    [null, "", false],
    [null, 0, false],
    [null, false, false],
    ["Infinity", "Infinity", true],
    [[1, 2], [1, 2], true],
    [[1, 2], [2, 1], false],
    [{ a: 1, b: [] }, { b: [], a: 1 }, true],
    [{ a: 1 }, '{"a":1}', true],
    [[1], "[1", false],
    [[], "", false],
    [{}, [], false],
    [[], "[".repeat(20_000) + "]".repeat(20_000), false],
  ];
  test.each(rows)("%.40j eq %.40j: %j", (left, right, expected) => {
    check(left, "eq", right, expected);
    check(right, "eq", left, expected);
    check(left, "neq", right, !expected);
  });
});

describe("an array beside a value that is none has it, or has not", () => {
  const rows: readonly Row[] = [
    [["a", "b"], "b", true],
    [["a", "b"], "c", false],
    [[5, "7.0"], "7", true],
    [[null], null, true],
    [[], null, false],
    [["a"], ["a"], true],
    [["a", "b"], ["a"], false],
    [["a"], '["a"]', true],
    [[["a"]], "a", false],
  ];
  test.each(rows)("%.40j eq %.40j: %j", (left, right, expected) => {
    check(left, "eq", right, expected);
    check(left, "neq", right, !expected);
  });
});

describe("codes and versions are equal where each character is", () => {
  const rows: readonly Row[] = [
    ["1.10", "1.1", false],
    ["1.10", "1.10", true],
    ["007", "7", false],
    [7, "7", true],
    [true, "true", true],
    ["a", "A", false],
    ["", "", true],
    [null, "null", false],
    [null, null, false],
    [["a"], "a", false],
    ["\u00e9", "e\u0301", false],
  ];
  test.each(rows)("%j eq_text %j: %j", (left, right, expected) => {
    check(left, "eq_text", right, expected);
    check(left, "neq_text", right, !expected);
  });
});

describe("an order is one of numbers, of date-times or of days", () => {
  const rows: readonly (readonly [JsonValue, JsonValue, "<" | "=" | ">" | "none"])[] = [
    [1, 2, "<"],
    ["9", "10", "<"],
    ["-10", "-9", "<"],
    [-1, 1, "<"],
    ["0", "-0.1", ">"],
    ["9007199254740993", "9007199254740992", ">"],
    ["123.456", "123.4560001", "<"],
    [1e-5, "0.00001", "="],
    ["1e3", 5, "none"],
    ["5.50", 5.5, "="],
    [1e21, "1000000000000000000000", "="],
    ["a", "b", "none"],
    ["2", "b", "none"],
    ["007", "8", "none"],
    [null, 1, "none"],
    [true, 0, "none"],
    [[2], 1, "none"],
    ["2024-02-01", "2024-01-01", ">"],
    ["2024-02-30", "2024-01-01", "none"],
    ["2024-02-29", "2024-02-29", "="],
    ["2024-02-01T10:00:00+02:00", "2024-02-01T09:00:00Z", "<"],
    ["2024-02-01t10:00:00z", "2024-02-01T12:00:00.000+02:00", "="],
    ["2024-02-01T10:00:00.1234567Z", "2024-02-01T10:00:00.1234568Z", "<"],
    ["2024-02-01T10:00:00.5Z", "2024-02-01T10:00:00.49Z", ">"],
    ["2024-02-01T10:00:00", "2024-02-01T09:00:00Z", "none"],
    ["2024-02-01T24:00:00Z", "2024-02-01T09:00:00Z", "none"],
    ["2016-12-31T23:59:60Z", "2016-12-31T09:00:00Z", "none"],
    ["2024-02-01", "2024-01-01T00:00:00Z", "none"],
    ["2024-02-01", 5, "none"],
    ["", "0", "none"],
  ];
  test.each(rows)("%j %j: %s", (left, right, order) => {
    check(left, "lt", right, order === "<");
    check(left, "gt", right, order === ">");
    check(left, "lte", right, order === "<" || order === "=");
    check(left, "gte", right, order === ">" || order === "=");
    check(right, "gt", left, order === "<");
  });

  test("it is the order of the numbers, whatever they are", () => {
    fc.assert(
      fc.property(fc.bigInt(), fc.bigInt(), fc.nat(5), (left, right, zeros) => {
        const point = zeros === 0 ? "" : `.${"0".repeat(zeros)}`;
        check(`${left}${point}`, "lt", `${right}`, left < right);
        check(`${left}`, "eq", `${right}${point}`, left === right);
      }),
    );
  });
});

describe("texts are looked into", () => {
  const rows: readonly (readonly [OperatorName, ...Row])[] = [
    ["contains", "Hello", "ell", true],
    ["contains", "Hello", "ELL", false],
    ["contains", 12345, "234", true],
    ["contains", ["a", "5.0"], 5, true],
    ["contains", ["a"], "b", false],
    ["contains", null, "a", false],
    ["contains", { a: 1 }, "a", false],
    ["not_contains", null, "a", true],
    ["starts_with", "Hello", "He", true],
    ["starts_with", "Hello", "he", false],
    ["starts_with", null, "", false],
    ["ends_with", "Hello", "lo", true],
    ["ends_with", "Hello", "Lo", false],
    ["included_in", "b", "a, b ,c", true],
    ["included_in", "5.0", [5, 6], true],
    ["included_in", 5, "[5, 6]", true],
    ["included_in", "7615917337495251231", "[7615917337495251231]", true],
    ["included_in", "7615917337495251000", "[7615917337495251231]", false],
    ["included_in", "d", "a,b", false],
    ["included_in", "a", null, false],
    ["included_in", null, ["x", null], true],
    ["not_included_in", "d", "a,b", true],
    ["like", "Hello", "h_LL%", true],
    ["like", "Hello", "hello", true],
    ["like", "Hello", "hell", false],
    ["like", "Hello", "%ell%", true],
    ["like", "Hello", "_____", true],
    ["like", "Hello", "______", false],
    ["like", "", "%", true],
    ["like", "", "_", false],
    ["like", "a.c", "a.c", true],
    ["like", "abc", "a.c", false],
    ["like", "a\nb", "a%b", true],
    ["like", "x%y", "x%y", true],
    ["like", "😀!", "_!", true],
    ["like", null, "%", false],
    ["like", "x".repeat(2_000), `${"x".repeat(1_001)}%`, false],
  ];
  test.each(rows)("%s: %j, %j: %j", (operator, left, right, expected) => check(left, operator, right, expected));

  test("like agrees with a regular expression", () => {
    const characters = fc.string({ unit: fc.constantFrom("a", "B", "%", "_"), maxLength: 12 });
    fc.assert(
      fc.property(characters, characters, (text, pattern) => {
        const source = pattern.replaceAll("%", "[^]*").replaceAll("_", "[^]");
        expect(matchesLike(text, pattern)).toBe(new RegExp(`^${source}$`, "iu").test(text));
      }),
      { numRuns: 2_000 },
    );
  });

  test("like takes time linear in the text, whatever the pattern", () => {
    const begin = performance.now();
    expect(matchesLike("a".repeat(1 << 20), `${"%a".repeat(400)}b`)).toBe(false);
    expect(performance.now() - begin).toBeLessThan(10_000);
  });
});

describe("nothing and something", () => {
  const rows: readonly (readonly [value: JsonValue, isNull: boolean, exists: boolean])[] = [
    [null, true, false],
    ["", false, false],
    ["null", false, true],
    [0, false, true],
    [false, false, true],
    [[], false, true],
    [{}, false, true],
  ];
  test.each(rows)("%j", (value, isNull, exists) => {
    check(value, "is_null", "", isNull);
    check(value, "not_null", "", !isNull);
    check(value, "exist", "", exists);
    check(value, "not_exist", "", !exists);
  });

  test("a field that does not resolve is null", async () => {
    const left = "{{event.body.nope}}";
    const comparisons = [
      { left, operator: "is_null" },
      { left, operator: "eq", right: "null" },
      { left, operator: "not_exist" },
      { left, operator: "neq", right: "" },
    ];
    const { records } = await run([start, { id: "n", rule: { match: "ALL", comparisons } }], ["start > n"]);
    expect(records.at(-1)).toMatchObject({ port: "true", output: '{"satisfied":true}' });
  });
});

test("a Rule holds when all of its comparisons do, or any, as its author chose", async () => {
  const yes = { left: "1", operator: "eq", right: "1" };
  const no = { left: "1", operator: "eq", right: "2" };
  for (const [match, comparisons, port] of [
    ["ALL", [yes, yes], "true"],
    ["ALL", [yes, no], "false"],
    ["ANY", [no, yes], "true"],
    ["ANY", [no, no], "false"],
    ["MATCH_UNSPECIFIED", [yes, no], "false"],
  ] as const) {
    const { records } = await run([start, { id: "n", rule: { match, comparisons: [...comparisons] } }], ["start > n"]);
    expect(records.at(-1)?.port).toBe(port);
  }
});
