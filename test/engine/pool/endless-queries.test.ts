import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test, vi } from "vitest";
import { gapMsMax, longestGapMs } from "../../support/longest-gap.ts";
import { run, start } from "../workflow.ts";

// Each begins processes, which takes seconds on a machine that is busy with much else.
vi.setConfig({ testTimeout: 120_000 });

const response = { id: "r", response: { data: "{{node.t.body}}" } };

/** Runs a query beside a timer; gives how it ended once it is sure that nothing held the thread. */
async function runBeside(query: string, body: JsonObject) {
  const ends: Awaited<ReturnType<typeof run>>[] = [];
  const gap = await longestGapMs(async () => {
    const nodes = [start, { id: "t", transform: { query } }, response];
    ends.push(await run(nodes, ["start > t", "t > r"], { body, limits: { queryMs: 1_000 } }));
  });
  expect(gap).toBeLessThan(gapMsMax);
  return ends[0];
}

describe("a query that would hold a thread for long holds none that others need", () => {
  const doubled = (end: string) =>
    `($f := function($n,$a){ $n = 0 ? $a : $f($n-1, {"a":$a,"b":$a}) }; ${end.replaceAll("VALUE", "$f(40,1)")})`;
  const cases: readonly (readonly [string, string, JsonObject])[] = [
    ["2^40 comparisons", doubled("VALUE = VALUE"), {}],
    ["$distinct of a value of 2^40 parts", doubled("$distinct([VALUE, 1])"), {}],
    ["$string of a value of 2^40 parts", doubled("$string(VALUE)"), {}],
    ["a native function as an argument", "($a := [1..50000].$$.s; $map($a, $length))", { s: "x".repeat(1_000_000) }],
    ["a picture that V8 matches", '$toMillis(a, "[f][f][f][f][f][f][f][f]")', { a: "1".repeat(100) }],
    [
      "a signature that V8 matches",
      `(function(${Array.from({ length: 10 }, (_, index) => `$p${index}`).join(",")})<s+s+s+s+s+s+s+s+s+n:x>{1})(${Array.from({ length: 80 }, () => '"a"').join(",")})`,
      {},
    ],
    ["a long picture of a number", `$formatNumber(1, "${"#,".repeat(20_000)}0")`, {}],
    ["a large payload written again and again", "[1..2000].$string($$)", { s: "x".repeat(1_000_000) }],
    ["$zip of long arrays", "($s := [1..50000]; $map([1..100], function($n){ $count($zip($s, $s)) }))", {}],
    ["$sort of what was split", '$sort($split(s, ""))', { s: "ab".repeat(250_000) }],
  ];
  test.each(cases)("%s", async (_, query, body) => {
    const ended = await runBeside(query, body);
    expect(["COMPLETED", "ERRORED"]).toContain(ended?.outcome.state);
  });

  test("a sort holds no thread either with a payload that its author did not mean it for", async () => {
    const items = Array.from({ length: 49_000 }, (_, index) => (index * 7_919) % 49_000);
    const ended = await runBeside('{ "top": $sort(items)[0] }', { items });
    // Its process may need more time or memory than there is; the service does not notice.
    if (ended?.outcome.state === "COMPLETED") {
      expect(ended.response).toEqual({ top: 0 });
    } else {
      expect(ended?.outcome.error?.reason).toBe("EXPRESSION_ERROR");
    }
  });
});

test("what a query that is dropped in line has done is not seen: in a child process it gives the same", async () => {
  const items = Array.from({ length: 1_000 }, (_, index) => ({ v: index }));
  const nodes = (query: string) => [start, { id: "t", transform: { query } }, response];
  // The same query over few items stays in line, and over many is begun again where there is more time.
  const query = '{"n": $count(items.v), "r": $random(), "sum": $sum(items.{"x": v * 2}.x), "at": $millis()}';
  const few = await run(nodes(query), ["start > t", "t > r"], { body: { items: items.slice(0, 3) } });
  const many = await run(nodes(query), ["start > t", "t > r"], { body: { items } });
  expect(few.response).toMatchObject({ n: 3, sum: 6 });
  expect(many.response).toMatchObject({ n: 1_000, sum: 999_000 });
  const pick = ({ response: value }: typeof few) => {
    const { r, at } = value as { r: number; at: number };
    return { r, at };
  };
  expect(pick(many)).toEqual(pick(few));
});
