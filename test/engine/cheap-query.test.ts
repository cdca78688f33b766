import type { JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { defaultLimits } from "../../src/domain/limits.ts";
import { bindValues } from "../../src/engine/query/evaluate/bind-values.ts";
import { evaluateQuery, parseQuery } from "../../src/engine/query/evaluate/evaluate-query.ts";
import { notPlain, PlainQuery } from "../../src/engine/query/evaluate/plain-query.ts";
import { InlineBudget } from "../../src/engine/query/evaluate/step-watch.ts";
import { isCheap, mayBeCheap } from "../../src/engine/query/syntax/cheap-query.ts";
import { checkOutput } from "../../src/engine/values/check-output.ts";

const context = { executionId: "e", path: "t", startTime: 0 };

/** Whether a query is one that may run in line. */
function check(query: string): boolean {
  return mayBeCheap(query) && isCheap(parseQuery(query, defaultLimits).ast(), ["template0"]);
}

describe("a query runs in line where each of its steps is cheap", () => {
  test.each([
    "$",
    "{'success': 'true', 'new_note': note}",
    "a.b[0].c",
    "items[price > 3 and name != 'x'].{'n': name, 'p': price * 2}",
    "$sum(items.price) & ' EUR'",
    "a ? b : c",
    "($x := a.b; {'x': $x, 'y': $x + 1})",
    "$uppercase($template0)",
    "-a",
    "a in ['x', 'y']",
    "$join(names, ', ')",
    "$pad(x, -5, '0')",
    "$now()",
    "$fromMillis(a)",
    "$toMillis(a)",
    "$uuid()",
    "$hash(a)",
    "$base64encode(a)",
    "a ?? b",
  ])("%s", (query) => expect(check(query)).toBe(true));
});

describe("and in a child process where one may not be", () => {
  test.each([
    "function($x){$x}(1)",
    "$map(a, $length)",
    "$filter(a, λ($x){$x})",
    "[1..3]",
    "a^(b)",
    "$sort(a)",
    "**.a",
    "*",
    "a.%.b",
    "a@$x.b",
    "a#$i",
    "a{b: c}",
    "/x/",
    "$match(a, /x/)",
    "$formatNumber(a, '#,##0')",
    "$fromMillis(a, '[Y]')",
    "$toMillis(a, '[Y]')",
    "$now('[Y]')",
    "$fromMillis(a, b, 'Europe/Berlin')",
    "$toMillis(a, b, 'Europe/Berlin')",
    "$parseJson(a)",
    "$hash()",
    "a ~> $uppercase",
    "$eval('1')",
    "$sum",
    "$distinct(a)",
    "$shuffle(a)",
    "$pad(x, y)",
    "$join(a, b)",
    "$spread(a)",
    "$string()",
    "$nobody(a)",
    "a ~> |b|{'c': 1}|",
    "$substring(?, 1)",
    `a${".a".repeat(300)}`,
    `'${"x".repeat(3_000)}'`,
  ])("%s", (query) => expect(check(query)).toBe(false));
});

describe("an evaluation in line is dropped where it turns out not to be cheap", () => {
  const text = "x".repeat(60_000);
  const numbers = Array.from({ length: 15_000 }, (_, index) => index);
  const cases: readonly (readonly [string, JsonValue])[] = [
    ["a = b", { a: { x: 1 }, b: { x: 1 } }],
    ["a & b", { a: [1, 2], b: "x" }],
    ["$string(a)", { a: { b: 1 } }],
    ["items.(v + 1)", { items: numbers.slice(0, 3_000).map((v) => ({ v })) }],
    ["[a, a, a, a]", { a: numbers }],
    ["[[a]]", { a: [numbers, numbers] }],
    ["[t, t, t, t]", { t: text }],
    ["($b := a & a; $c := $b & $b; $d := $c & $c; $d & $d)", { a: text }],
    ["($a := [1, x]; $b := [[$a, $a]]; $c := [[$b, $b]]; $boolean([$c]))", { x: numbers }],
    // V8 searches a text in time that grows with the product of both lengths.
    ["$contains(a, b)", { a: "a".repeat(40_000), b: `${"a".repeat(20_000)}b` }],
    ["a.$contains($$.b)", { a: "a".repeat(40_000), b: `${"a".repeat(20_000)}b` }],
    ["$replace(a, b, 'c')", { a: "a".repeat(40_000), b: `${"a".repeat(20_000)}b` }],
    [`[${Array.from({ length: 20 }, () => "$substringAfter(a, 'xxx')")}]`, { a: text }],
    ["[$sum, 1][0] = 1 or ($sum := 1) = 1", {}],
  ];
  test.each(cases)("%s", async (query, input) => {
    const watch = new InlineBudget(JSON.stringify(input).length);
    expect(check(query)).toBe(true);
    const parsed = parseQuery(query, defaultLimits);
    isCheap(parsed.ast(), []);
    await expect(evaluateQuery(parsed, { input, bindings: {}, context, watch })).rejects.toThrow("stopped");
    expect(watch.isSpent).toBe(true);
  });
});

describe("a plain query gives what JSONata gives, or leaves the query to it", () => {
  const values: readonly (JsonValue | undefined)[] = [
    ...[undefined, null, true, false, 0, -0, 1, -7, 2.5, 0.1, 1e21, 9007199254740991, "", "0", "a", "é\ud83d\ude00"],
    ...[[], [1], ["a", null], [[1], [2]], {}, { a: 1 }, { template0: [] }],
  ];
  const bound = ["template0", "template1"] as const;
  const queries = [
    ...["&", "=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "and", "or", "in"].map(
      (operator) => `$template0 ${operator} $template1`,
    ),
    "$template0 ? $template1 : 'none'",
    "$template0 ? $template1",
    "[$template0, $template1]",
    "[[$template0], $template1, '[', [[$template1]]]",
    "{'a': $template0, 'b': {'c': [$template1]}, '1': 2}",
    "{'a': ($template0 ? $template0 : 'x') & ($template1 ? ' (' & $template1 & ')' : '')}",
    "($template0; $template1)",
    "{'a': $template0 = $template1 or true, 'b': 1 - 2 * 3}",
    "{'__proto__': $template0, 'a': $template1}",
    "{'a': 1, 'a': $template0}",
    "{'a': true, 'b': null, 'c': -1, 'd': '\\u0041'}",
  ];

  /** Expects the same output from both, whatever the values of the templates. */
  async function compare(query: string, form: "value" | "text"): Promise<number> {
    const parsed = parseQuery(query, defaultLimits);
    isCheap(parsed.ast(), bound);
    const reference = { text: "", source: { kind: "event_body" }, path: [] } as const;
    const plain = PlainQuery.compile(
      parsed.ast(),
      bound.map((name) => ({ name, reference, form })),
    );
    let count = 0;
    for (const left of values) {
      for (const right of values) {
        const found = plain?.evaluate([{ value: left }, { value: right }]) ?? notPlain;
        if (found !== notPlain) {
          const bindings = bindValues(
            bound.map((name, index) => ({ name, form, value: [left, right][index] })),
            defaultLimits.output.bytesMax,
          );
          const watch = { leaveStep: () => undefined, stop: () => undefined };
          const expected = await evaluateQuery(parsed, { input: { a: 1 }, bindings, context, watch });
          expect(checkOutput(found, defaultLimits.output)).toBe(checkOutput(expected, defaultLimits.output));
          count += 1;
        }
      }
    }
    return count;
  }

  test.each(queries)("%s", async (query) => {
    const count = (await compare(query, "value")) + (await compare(query, "text"));
    expect(count > 0 || /proto|'a': 1, 'a'/.test(query)).toBe(true);
  });
});
