// Findings 7 and 22: queries whose bound is not kept, and queries that keep to theirs by the dozen.

import type { JsonObject } from "@bufbuild/protobuf";
import type { Attack, Stage } from "../attack.ts";
import { lineOf, publishLine, saveWorkflow } from "../tenants.ts";

type Query = { readonly query: string; readonly payload?: () => JsonObject };

const doubled = (depth: number) =>
  `$f := function($n, $a){ $n = 0 ? $a : $f($n - 1, {"a": $a, "b": $a}) }; `.concat(
    `$x := $f(${depth}, 1); $y := $f(${depth}, 1);`,
  );
const text = (bytes: number) => () => ({ s: "x".repeat(bytes) });

/** From those that take seconds to those that never end. */
const endless: Readonly<Record<string, Query>> = {
  string: { query: "[1..2000].$string($$)", payload: text(1_000_000) },
  zip: { query: "($s := [1..4000000]; $map([1..10], function($i){ $count($zip($s, $s)) }))" },
  native: { query: "($a := [1..50000].$$.s; $map($a, $length))", payload: text(1_000_000) },
  formatNumber: { query: `$formatNumber(1, "${"#,".repeat(20_000)}0")` },
  formatInteger: { query: `$formatInteger(1, "${"#,".repeat(20_000)}0")` },
  sort: { query: '$count($sort($split(s, "")))', payload: text(1_000_000) },
  stringOf: { query: `(${doubled(30)} $string($x))` },
  distinct: { query: `(${doubled(40)} $distinct([$x, $y, 1]))` },
  toMillis: {
    query: '$toMillis(a, "[f][f][f][f][f][f][f][f]")',
    payload: () => ({ a: "1".repeat(100) }),
  },
  picture: {
    query: '$toMillis(a, "[MNn][FNn][MNn][FNn][MNn][FNn][MNn][FNn]")',
    payload: () => ({ a: "a".repeat(100) }),
  },
  signature: {
    query: `(function($a)<s+s+s+s+s+s+s+s+s+n:x>{1})(${Array.from({ length: 80 }, () => '"a"').join(", ")})`,
  },
  equals: { query: `(${doubled(60)} $x = $y)` },
};

/** Further native functions that take a function or a text and ask nobody. */
const others: Readonly<Record<string, Query>> = {
  mapUppercase: { query: "($a := [1..50000].$$.s; $map($a, $uppercase))", payload: text(1_000_000) },
  mapBase64: { query: "($a := [1..50000].$$.s; $map($a, $base64encode))", payload: text(1_000_000) },
  mapUri: { query: "($a := [1..50000].$$.s; $map($a, $encodeUrlComponent))", payload: text(1_000_000) },
  filterSplit: {
    query: '($a := [1..50000].$$.s; $filter($a, function($s){ $count($split($s, "")) > 0 }))',
    payload: text(1_000_000),
  },
  reduceAppend: { query: "$reduce([1..200000], function($a, $b){ $append($a, [$a, $b]) }, [])" },
  singleString: { query: "$single([1..50000].$$, function($v){ $string($v) = 'a' })", payload: text(1_000_000) },
  siftKeys: { query: "[1..50000].$sift($$, function($v){ $length($string($v)) > 0 })", payload: text(1_000_000) },
  replaceWith: { query: "$replace(s, /x/, function($m){ $string($$) })", payload: text(1_000_000) },
  matchAll: { query: "$count($match(s, /x/))", payload: text(1_000_000) },
  joinSplit: { query: '[1..2000].$join($split($$.s, ""), "ab")', payload: text(1_000_000) },
  spread: { query: "$map([1..100000], function($i){ $merge($spread($$)) })", payload: text(500_000) },
  descend: { query: "[1..10000].$$.**.s", payload: () => ({ a: Array.from({ length: 20_000 }, (_, s) => ({ s })) }) },
  pad: { query: '[1..10000].$pad("x", 100000, "#")' },
  now: { query: '[1..100000].$fromMillis(1, "[FNn] [D1o] [MNn] [Y] [H01]:[m01]")' },
  parse: { query: "$map([1..100000], function($i){ $eval('1') })" },
  group: {
    query: "$map([1..1000], function($i){ $$.a{$string(s): $sum(s)} })",
    payload: () => ({ a: Array.from({ length: 20_000 }, (_, s) => ({ s })) }),
  },
};

export const queries: readonly Attack[] = [
  {
    id: "7",
    title: "a query that compares 2^60 values, called once and not waited for",
    prepare: prepareAll("never", { equals: endless["equals"] ?? { query: "1" } }),
    run: async (attacker) => {
      await attacker.call("never-equals", {});
      await attacker.untilOver();
    },
  },
  {
    id: "7b",
    title: "[1..2000].$string($$) on 1 MB, 4 calls at a time",
    prepare: prepareAll("long", { string: endless["string"] ?? { query: "1" } }),
    run: async (attacker) => {
      const body = JSON.stringify(text(1_000_000)());
      await attacker.repeat(4, () => attacker.callText("long-string", body, { sync_execution: "true" }));
    },
  },
  {
    id: "7c",
    title: "every query of the report whose bound was not kept, one after the other",
    prepare: prepareAll("all", endless),
    run: (attacker) => callInTurn(attacker, "all", endless, 1),
  },
  {
    id: "7d",
    title: "the same with 12 calls at a time",
    prepare: prepareAll("many", endless),
    run: (attacker) => callInTurn(attacker, "many", endless, 12),
  },
  {
    id: "7e",
    title: "further native functions, 16 calls at a time",
    prepare: prepareAll("further", others),
    run: (attacker) => callInTurn(attacker, "further", others, 16),
  },
  {
    id: "7f",
    title: "the same queries in drafts that are tested",
    prepare: async ({ tenant }) => {
      for (const [name, { query }] of Object.entries({ ...others, ...endless })) {
        await saveWorkflow(tenant, `draft-${name.toLowerCase()}`, lineOf([{ transform: { query } }]));
      }
      return {};
    },
    run: async (attacker) => {
      const all = Object.entries({ ...others, ...endless });
      await attacker.repeat(8, async (lane, turn) => {
        const [name = "", { payload } = { payload: undefined }] = all[(8 * turn + lane) % all.length] ?? [];
        const body = JSON.stringify({ payload: payload?.() ?? {} });
        await attacker.send({ path: `/api/v1/workflow/draft-${name.toLowerCase()}/draft/execute`, body });
      });
    },
  },
  {
    id: "22",
    title: "40 workflows whose queries use up their time in small steps, all at a time",
    prepare: async ({ tenant }) => {
      for (let index = 0; index < 40; index += 1) {
        const query = `($f := function($n){ $n = 0 ? ${index} : $f($n - 1) }; $f(1000000000))`;
        await publishLine(tenant, `loop-${index}`, [{ transform: { query } }]);
      }
      return {};
    },
    run: (attacker) => attacker.repeat(40, (lane) => attacker.callSync(`loop-${lane}`, {})),
  },
];

function prepareAll(prefix: string, all: Readonly<Record<string, Query>>) {
  return async ({ tenant }: Stage): Promise<JsonObject> => {
    for (const [name, { query }] of Object.entries(all)) {
      await publishLine(tenant, `${prefix}-${name}`, [{ transform: { query } }]).catch(refusedIs(name));
    }
    return {};
  };
}

/** What is not published cannot be called: the attack has to do without it. */
function refusedIs(name: string) {
  return (error: unknown) => {
    process.stderr.write(`${name} is refused: ${String(error).slice(0, 200)}\n`);
  };
}

async function callInTurn(
  attacker: Parameters<Attack["run"]>[0],
  prefix: string,
  all: Readonly<Record<string, Query>>,
  lanes: number,
): Promise<void> {
  const entries = Object.entries(all).map(([name, { payload }]) => [name, JSON.stringify(payload?.() ?? {})] as const);
  await attacker.repeat(lanes, async (lane, turn) => {
    const [name = "", body = ""] = entries[(turn * lanes + lane) % entries.length] ?? [];
    const { ms } = await attacker.callText(`${prefix}-${name}`, body, { sync_execution: "true" });
    attacker.most(`${name} ms`, ms);
  });
}
