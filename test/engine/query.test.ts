import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import jsonata from "jsonata";
import { describe, expect, test } from "vitest";
import type { Limits } from "../../src/domain/limits.ts";
import { begin, compile, ended, run, start } from "./workflow.ts";

type Expected = { readonly value: unknown } | { readonly reason: string; readonly message: RegExp };

/** Expects what a Transform with this query gives, or how it fails. */
async function check(query: string, expected: Expected, body: JsonObject = {}, limits: Partial<Limits> = {}) {
  const nodes = [start, { id: "t", transform: { query } }, { id: "r", response: { data: "{{node.t.body}}" } }];
  const { outcome, response } = await run(nodes, ["start > t", "t > r"], { body, limits });
  if ("value" in expected) {
    expect(outcome.error).toBeUndefined();
    expect(response).toEqual(expected.value);
  } else {
    expect(outcome).toMatchObject({ state: "ERRORED", error: { reason: expected.reason, node_id: "t" } });
    expect(outcome.error?.message).toMatch(expected.message);
    expect(outcome.error?.message).not.toMatch(/undefined|\bat .*:\d+|jsonata/i);
  }
}

const failing = (message: RegExp): Expected => ({ reason: "EXPRESSION_ERROR", message });

describe("a query that would not end is ended, and says why", () => {
  const cases: readonly (readonly [string, string, RegExp, body?: JsonObject])[] = [
    ["an endless loop", "($f := function($n){ $f($n + 1) }; $f(1))", /more than 200 ms \(limit queryMs\)/],
    ["endless recursion", "($f := function($n){ 1 + $f($n) }; $f(1))", /Stack overflow|more than 200 ms/],
    [
      "a long range",
      "[1..9999999]",
      /a list of more than 50000 items \(limit output\.valuesMax\) \(line 1, column 3\)/,
    ],
    ["a product of ranges", "[1..40000].[1..40000]", /more than 50000 items|more than 200 ms/],
    [
      "a text that doubles",
      "($f := function($s){ $f($s & $s) }; $f('ab'))",
      /a text of more than 4194304 characters|more than 200 ms/,
    ],
    ["a wide pad", "$pad('x', -1000000000)", /\$pad cannot make/],
    [
      "slow matches without end",
      "$split(x, /a.*z|a/)",
      /matched for more than 200 ms|ran for more than 200 ms/,
      { x: "a".repeat(300_000) },
    ],
  ];
  for (const [name, query, message, body] of cases) {
    test(name, async () => {
      const begin = performance.now();
      await check(query, failing(message), body, { queryMs: 200 });
      expect(performance.now() - begin).toBeLessThan(10_000);
    });
  }
});

describe("a regular expression takes time linear in the text", () => {
  const body = { x: "a".repeat(200_000), t: "2026-01-31, 2027-02-28" };
  const cases: readonly (readonly [string, unknown])[] = [
    ["$match(x, /^(a+)+$b/)", null],
    ["$contains(x, /(a|aa)+$b/)", false],
    ["$length($replace(x, /(a*)*b/, ''))", 200_000],
    ["$match(t, /(\\d+)-(\\d+)/).groups[0]", ["2026", "2027"]],
    ["$match(t, /(x)?(\\d+)/)[0].{'at': index, 'groups': groups}", { at: 0, groups: [null, "2026"] }],
    ["$match('Ab\\nAB', /^ab$/im).match", ["Ab", "AB"]],
    ["$replace(t, /(\\d+)-(\\d+)-\\d+/, '$2/$1')", "01/2026, 02/2027"],
    ["$replace(t, /\\d{4}/, function($m){ '<' & $m.match & '>' }, 1)", "<2026>-01-31, 2027-02-28"],
    ["$split(t, /, |-/)", ["2026", "01", "31", "2027", "02", "28"]],
    ["$split('a1b2c', /\\d/, 2)", ["a", "b"]],
    ["$replace('aaba', /a/, 'x')", "xxbx"],
    ["$map(['é😀x', 'yx'], function($s){ $match($s, /x/).index })", [3, 1]],
  ];
  test.each(cases)("%s", (query, value) => check(query, { value }, body));
});

describe("a query is pure", () => {
  const query = '{"a": $random(), "b": $shuffle([1..20]), "c": $map([1..3], $random), "d": $now(), "e": $millis()}';
  const nodes = [start, { id: "t", transform: { query } }, { id: "u", transform: { query } }];
  const outputs = async () => {
    const { records } = await run(nodes, ["start > t", "start > u"]);
    const outputOf = (path: string) => records.find((record) => record.path === path)?.output ?? "";
    return ["t", "u"].map((path) => JSON.parse(outputOf(path)) as JsonObject);
  };

  test("the same node of the same execution computes the same, and another node does not", async () => {
    const [first, other] = await outputs();
    expect(await outputs()).toEqual([first, other]);
    expect(first?.["a"]).not.toEqual(other?.["a"]);
    expect(first?.["b"]).not.toEqual(other?.["b"]);
    expect(first).toMatchObject({ d: "2026-01-31T09:00:00.000Z", e: Date.parse("2026-01-31T09:00:00Z") });
    expect(new Set(first?.["b"] as number[])).toEqual(new Set(Array.from({ length: 20 }, (_, index) => index + 1)));
  });

  test("whatever the time zone of its process", async () => {
    const times =
      '[$fromMillis(0), $fromMillis(0, "[H01]:[m01]"), $toMillis("2026-03-08"), $toMillis("2026-03-08T02:30:00")]';
    const { TZ } = process.env;
    try {
      for (const zone of ["Pacific/Apia", "America/New_York", "UTC"]) {
        process.env["TZ"] = zone;
        await check(times, { value: ["1970-01-01T00:00:00.000Z", "00:00", 1_772_928_000_000, 1_772_937_000_000] });
      }
    } finally {
      if (TZ === undefined) {
        delete process.env["TZ"];
      } else {
        process.env["TZ"] = TZ;
      }
    }
  });

  test("also when its parts run side by side and the process is busy", async () => {
    const part = (key: string, steps: number) =>
      `"${key}": $map([1..${steps}], function($n){ $n % 97 = 0 ? $random() : 0 })`;
    const wide = { id: "t", transform: { query: `{${part("a", 300)}, ${part("b", 900)}, ${part("c", 500)}}` } };
    const once = async () => (await run([start, wide], ["start > t"])).records.at(-1)?.output;
    const alone = await once();
    const together = await Promise.all(Array.from({ length: 10 }, once));
    expect(new Set(together)).toEqual(new Set([alone]));
  });

  test("the time is the node's own start, also while others run the same query", async () => {
    const slow = {
      id: "t",
      transform: {
        query: "($before := $millis(); $f := function($n){ $n > 3000 ? 0 : $f($n + 1) }; $f(0); [$before, $millis()])",
      },
    };
    const { outcome, clock, journal } = begin(
      [start, slow, { id: "r", response: { data: "{{node.t.body}}" } }],
      ["start > t", "t > r"],
    );
    const startTime = clock.now();
    const ticking = setInterval(() => clock.advance(1), 1);
    const { response } = ended(await outcome, journal);
    clearInterval(ticking);
    expect(clock.now()).toBeGreaterThan(startTime);
    expect(response).toEqual([startTime, startTime]);
  });

  const cases: readonly (readonly [string, Expected])[] = [
    ["$eval('1 + 1')", failing(/\$eval is switched off/)],
    ["$now('[Y0001]/[M01]')", { value: "2026/01" }],
    ["$now('[H01]:[m01]', '+0200')", { value: "11:00" }],
    ["$shuffle(undefined)", { value: null }],
    ["$pad('x', 5, 'ab') & $pad('y', -3) & ($p := $pad(?, 2, '#'); $p('z'))", { value: "xabab  yz#" }],
    ["['5', '7'].$pad(3)", { value: ["5  ", "7  "] }],
    [
      "$distinct([1, '1', 1, {'a': 1, 'b': 2}, {'b': 2, 'a': 1}, null, null])",
      { value: [1, "1", { a: 1, b: 2 }, null] },
    ],
  ];
  test.each(cases)("%s", (own, expected) => check(own, expected));

  test("the distinct items of a long array are found in linear time", () =>
    check("$count($distinct(x))", { value: 40_000 }, { x: Array.from({ length: 40_000 }, (_, index) => `${index}`) }));
});

describe("a query that fails says what its author can act on", () => {
  const cases: readonly (readonly [string, Expected])[] = [
    ["1 + 'a'", failing(/right side of the "\+" operator must evaluate to a number/)],
    ["$match('abc', /x*/)", failing(/zero length/)],
    ["$error('own words')", failing(/own words/)],
    ["($f := 1; $f())", failing(/non-function/)],
    ["1 / 0", { reason: "OUTPUT_INVALID", message: /Infinity/ }],
    ["$sum", { reason: "OUTPUT_INVALID", message: /a function/ }],
    ["[{'f': function($x){ $x }}]", { reason: "OUTPUT_INVALID", message: /a function/ }],
    ["$join(['a', '\\u0000'])", { reason: "OUTPUT_INVALID", message: /NUL/ }],
    ["[1..50000]", { reason: "OUTPUT_TOO_LARGE", message: /more than 50000 values \(limit output.valuesMax\)/ }],
    ["$pad('', 1048576)", { reason: "OUTPUT_TOO_LARGE", message: /more than 1048576 bytes \(limit output.bytesMax\)/ }],
    ["nothing", { value: null }],
    ["{'a': nothing, 'b': [nothing, 1]}", { value: { b: [1] } }],
  ];
  test.each(cases)("%s", (query, expected) => check(query, expected));
});

test("a query that does not parse is told with the templates that its author wrote", () => {
  const templates = Array.from({ length: 11 }, (_, index) => `{{event.body.a${index}}}`);
  const nodes = [start, { id: "t", transform: { query: `[${templates.join(", ")}] {{event.body.a10}}` } }];
  const [problem] = compile(nodes, ["start > t"]).errors;
  expect(problem?.message).toBe(
    'This is not a JSONata query that can run: Syntax error: "{{event.body.a10}}" (line 1, column 212).',
  );
});

describe("queries leave the data that they share as it is, and give what JSONata gives", () => {
  const data = {
    x: [],
    y: [{ k: "a", v: 1 }, { k: "b" }, { k: "a", v: 3 }],
    m: [[1, 2], [3]],
    one: { k: "q" },
    e: [{ t: [] }, { t: [{ k: "z" }] }],
  };
  const queries = [
    "x{'a': 1}",
    "x{k: v}",
    "y{k: v}",
    "y{k: v[]}",
    "m{'n': $count($)}",
    "m.{'n': $}",
    "m[0]{'n': $}",
    "one{k: 1}",
    "nope{'k': 1}",
    "e.t{k: 1}",
    "x[]",
    "y[]",
    "e.t[]",
    "($x := x; $x{'a': 1})",
    "[]{'a': 1}",
    "y[k = 'a']{k: $sum(v)}",
    "y#$i{k: $i}",
    "y@$o{$o.k: $o.v}",
    "$append([], x){'a': 1}",
    "y^(k){k: v}",
    "y.k{$: 1}",
    "e.t.k{$: $count($)}",
    "$ ~> |y|{'v': 9}|",
    "$reverse(y)",
    "$sort(m[0])",
    "**.k",
    "$spread(one)",
    "$merge([one, {'z': x}])",
  ];
  test.each(queries)("%s", async (query) => {
    const body = structuredClone(data) as JsonObject;
    const value = (await jsonata(query).evaluate(structuredClone(data))) ?? null;
    await check(query, { value: JSON.parse(JSON.stringify(value)) as JsonValue }, body);
    expect(JSON.stringify(body)).toBe(JSON.stringify(data));
  });
});

describe("many queries at once", () => {
  test.each([
    ["one that is long", 1, 20_000],
    ["many that are short", 400, 40],
  ])("let the process do other work meanwhile: %s", async (_, count, rounds) => {
    const query = `($f := function($n){ $n > ${rounds} ? $n : $f($n + 1) }; $f(0))`;
    const ids = Array.from({ length: count }, (_, index) => `t${index}`);
    const nodes = ids.map((id) => ({ id, transform: { query } }));
    const { outcome } = begin(
      [start, ...nodes],
      ids.map((id) => `start > ${id}`),
    );
    let turns = 0;
    const other = setInterval(() => {
      turns += 1;
    }, 1);
    await outcome;
    clearInterval(other);
    expect(turns).toBeGreaterThan(3);
  });

  test("do not see each other's variables", async () => {
    const query =
      "($v := {{event.body.list}}[{{node.g.body.iteration_count}}]; $f := function(){ $v }; $f() & '|' & $v)";
    const list = Array.from({ length: 200 }, (_, index) => `v${index}`);
    const group = { id: "g", group: { array: "{{event.body.list}}", concurrency: 100, output: "{{node.t.body}}" } };
    const nodes = [
      start,
      group,
      { id: "t", group_id: "g", transform: { query } },
      { id: "r", response: { data: "{{node.g.body}}" } },
    ];
    const { response } = await run(nodes, ["start > g", "g each > t", "g > r"], { body: { list } });
    expect(response).toEqual(list.map((item) => `${item}|${item}`));
  });
});

test("numbers that a double holds, and those with a point or an exponent, are taken as JSONata takes them", () => {
  const query = "[9007199254740991, 1.1234567890123456789, 1e20, 1E+20, 10000000000000000e-16, -9007199254740991]";
  expect(compile([start, { id: "a", transform: { query } }], ["start > a"]).errors).toEqual([]);
});
