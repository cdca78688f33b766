import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { defaultLimits } from "../../src/domain/limits.ts";
import { evaluateQuery, parseQuery } from "../../src/engine/query/evaluate/evaluate-query.ts";
import { TimeZones } from "../../src/engine/query/functions/time-zones.ts";
import { functionNames } from "../../src/engine/query/syntax/unknown-names.ts";
import { compile, run, start } from "./workflow.ts";

const zones = new TimeZones();
const watch = { leaveStep: () => undefined, stop: () => undefined };

/** Expects what a query gives, or the words that it fails with. */
async function check(query: string, expected: JsonValue | RegExp, input: JsonObject = {}): Promise<void> {
  const context = { executionId: "e", path: "t", startTime: Date.parse("2026-01-31T09:00:00Z") };
  const evaluation = { input, bindings: {}, context, watch };
  const result = evaluateQuery(parseQuery(query, defaultLimits, zones), evaluation);
  if (expected instanceof RegExp) {
    await expect(result.catch((error) => Promise.reject(Error(error.message)))).rejects.toThrow(expected);
  } else {
    expect((await result) ?? null).toEqual(expected);
  }
}

describe("a time is written with the offset of its zone", () => {
  const newYear = 1_609_459_200_000;
  const summer = 1_625_097_600_000;
  const cases: readonly (readonly [string, JsonValue | RegExp])[] = [
    [`$fromMillis(${newYear})`, "2021-01-01T00:00:00.000Z"],
    [`$fromMillis(${newYear}, undefined, "+05:00")`, "2021-01-01T05:00:00.000+05:00"],
    [`$fromMillis(${newYear}, undefined, "+0500")`, "2021-01-01T05:00:00.000+05:00"],
    [`$fromMillis(${newYear}, undefined, "+5")`, "2021-01-01T05:00:00.000+05:00"],
    [`$fromMillis(${newYear}, undefined, "-03:30")`, "2020-12-31T20:30:00.000-03:30"],
    [`$fromMillis(${newYear}, undefined, "-0330")`, "2020-12-31T20:30:00.000-03:30"],
    [`$fromMillis(${newYear}, undefined, "Z")`, "2021-01-01T00:00:00.000Z"],
    [`$fromMillis(${newYear}, undefined, "UTC")`, "2021-01-01T00:00:00.000Z"],
    [`$fromMillis(${newYear}, "[H01]:[m01]", "Europe/Berlin")`, "01:00"],
    [`$fromMillis(${summer}, "[H01]:[m01] [Z]", "Europe/Berlin")`, "02:00 +02:00"],
    [`$fromMillis(${newYear}, undefined, "America/St_Johns")`, "2020-12-31T20:30:00.000-03:30"],
    [`$fromMillis(${newYear}, undefined, "Asia/Kathmandu")`, "2021-01-01T05:45:00.000+05:45"],
    [
      `$fromMillis(${newYear}, "[Z0101] [Z01] [Z1] [z] [Z01:01t] [Z0101t]", "-03:30")`,
      "-0330 -03:30 -3:30 GMT-03:30 -03:30 -0330",
    ],
    [`$fromMillis(${newYear}, "[Z0101] [Z01] [Z01:01t] [[Z]]")`, "+0000 +00 Z [Z]"],
    ['$fromMillis(1007, "[s].[f001] [f] [f01] [f0001]")', "01.007 007 00 0070"],
    ['$fromMillis(-1, "[Y]-[M01]-[D01] [s].[f001]")', "1969-12-31 59.999"],
    ['$fromMillis(0, undefined, "Mars/Olympus")', /"Mars\/Olympus" is not a time zone/],
    ['$fromMillis(0, undefined, "+25:00")', /not a time zone/],
    ['$fromMillis(0, undefined, "+05:60")', /not a time zone/],
    ["$fromMillis(1e17)", /cannot write/],
    ["$fromMillis(-62167219200000)", "0000-01-01T00:00:00.000Z"],
    ["$fromMillis(-62167219200001)", /cannot write/],
    ["$fromMillis(253402300799999)", "9999-12-31T23:59:59.999Z"],
    ['$fromMillis(253402300799999, undefined, "+01:00")', /cannot write/],
    ['$fromMillis(8.64e15, undefined, "+01:00")', /cannot write/],
    ['$now(undefined, "Asia/Tokyo")', "2026-01-31T18:00:00.000+09:00"],
    ['$now("[H]:[m]", "-00:30")', "8:30"],
    ["$fromMillis(nothing)", null],
  ];
  test.each(cases)("%s", (query, expected) => check(query, expected));
});

describe("a time is read with its offset, in its zone, or as UTC", () => {
  const at = (text: string) => Date.parse(text);
  const cases: readonly (readonly [string, JsonValue | RegExp])[] = [
    ['$toMillis("2021-01-01T00:00:00.000Z")', at("2021-01-01T00:00:00Z")],
    ['$toMillis("2021-01-01T00:00:00")', at("2021-01-01T00:00:00Z")],
    ['$toMillis("2021")', at("2021-01-01T00:00:00Z")],
    ['$toMillis("2021-02")', at("2021-02-01T00:00:00Z")],
    ['$toMillis("2021-01-01T00:00:00-0330")', at("2021-01-01T03:30:00Z")],
    ['$toMillis("2021-01-01T00:00:00-03:30")', at("2021-01-01T03:30:00Z")],
    ['$toMillis("2024-02-30")', /ISO 8601/],
    ['$toMillis("2024-02-30T00:00:00Z")', /ISO 8601/],
    ['$toMillis("2024-13-01")', /ISO 8601/],
    ['$toMillis("2024-01-01T29:00:00Z")', /ISO 8601/],
    ['$toMillis("2024-01-01T24:00:00Z")', /ISO 8601/],
    ['$toMillis("2016-12-31T23:59:60Z")', /ISO 8601/],
    // The day that Samoa left out, when it went over the date line, is a gap as any other.
    ['$toMillis("2011-12-30T12:00:00", undefined, "Pacific/Apia")', at("2011-12-30T22:00:00Z")],
    ['$toMillis("yesterday")', /ISO 8601/],
    ['$toMillis("2021-07-01T12:00:00", undefined, "Europe/Berlin")', at("2021-07-01T10:00:00Z")],
    ['$toMillis("2021-07-01T12:00:00Z", undefined, "Europe/Berlin")', at("2021-07-01T12:00:00Z")],
    ['$toMillis("2021-03-28T02:30:00", undefined, "Europe/Berlin")', at("2021-03-28T01:30:00Z")],
    ['$toMillis("2021-10-31T02:30:00", undefined, "Europe/Berlin")', at("2021-10-31T00:30:00Z")],
    ['$toMillis("1.7.2021 12:00", "[D].[M].[Y] [H]:[m]", "Europe/Berlin")', at("2021-07-01T10:00:00Z")],
    ['$toMillis("2021-01-01 00:00 -03:30", "[Y]-[M]-[D] [H]:[m] [Z]")', at("2021-01-01T03:30:00Z")],
    ['$toMillis("2021-01-01 00:00 -0330", "[Y]-[M]-[D] [H]:[m] [Z0101]")', at("2021-01-01T03:30:00Z")],
    ['$toMillis("2021-01-01 00:00 +05:45", "[Y]-[M]-[D] [H]:[m] [Z]")', at("2020-12-31T18:15:00Z")],
    ['$toMillis("01-02-2021 00:00 -05:00", "[M]-[D]-[Y] [H]:[m] [Z]")', at("2021-01-02T05:00:00Z")],
    // The node's start says which day it is, in the zone.
    ['$toMillis("13:45", "[H]:[m]")', at("2026-01-31T13:45:00Z")],
    ['$toMillis("01:45", "[H]:[m]", "Pacific/Kiritimati")', at("2026-01-30T11:45:00Z")],
    ['$toMillis("23:45", "[H]:[m]", "-10:00")', at("2026-01-31T09:45:00Z")],
    ['$toMillis("23:45 -10:00", "[H]:[m] [Z]")', at("2026-01-31T09:45:00Z")],
    ['$toMillis("23:45 -09:30", "[H]:[m] [Z]")', at("2026-01-31T09:15:00Z")],
    ['$toMillis("28 Feb", "[D] [MNn,3-3]")', at("2026-02-28T00:00:00Z")],
    ['$toMillis("12.34", "[m].[s]")', at("2026-01-31T09:12:34Z")],
    ["$toMillis(nothing)", null],
  ];
  test.each(cases)("%s", (query, expected) => check(query, expected));

  const real: readonly (readonly [text: string, picture: string, expected: string])[] = [
    ["29/02/2024", "[D01]/[M01]/[Y0001]", "2024-02-29"],
    ["20240229T2359", "[Y0001][M01][D01]T[H01][m01]", "2024-02-29T23:59:00Z"],
    ["29 February 2024", "[D1] [MNn] [Y]", "2024-02-29"],
    ["31st Dec 2023, 11:59:59.999 pm", "[D1o] [MNn,3-3] [Y], [h]:[m]:[s].[f001] [P]", "2023-12-31T23:59:59.999Z"],
    ["by am 7:05PM 1.1.2024", "by am [h]:[m][P] [D].[M].[Y]", "2024-01-01T19:05:00Z"],
    ["12:00 am 1.1.24", "[h]:[m] [P] [D].[M].[Y]", "1924-01-01T00:00:00Z"],
    ["366 2024", "[d] [Y]", "2024-12-31"],
    ["Monday, 29/02/2024", "[FNn], [D]/[M]/[Y]", "2024-02-29"],
    ["29/II/2024", "[D]/[MI]/[Y]", "2024-02-29"],
    ["twenty-ninth of February 2024", "[Dwo] of [MNn] [Y]", "2024-02-29"],
    ["[29/02/2024 23:30 -0330]", "[[[D]/[M]/[Y] [H]:[m] [Z0101]]]", "2024-03-01T03:00:00Z"],
    ["2024", "[Y]", "2024-01-01"],
    ["201802", "[Y,*-4][M01]", "2018-02-01"],
    ["2024-02-05 W6 1", "[Y]-[M]-[D] W[W] [F1]", "2024-02-05"],
  ];
  test.each(real)("%s as %s", (text, picture, expected) =>
    check(`$toMillis(${JSON.stringify(text)}, ${JSON.stringify(picture)})`, at(expected)),
  );

  test.each([
    ["31/02/2024", "[D01]/[M01]/[Y0001]"],
    ["29/02/2023", "[D]/[M]/[Y]"],
    ["0/1/2024", "[D]/[M]/[Y]"],
    ["32/1/2024", "[D]/[M]/[Y]"],
    ["1/13/2024", "[D]/[M]/[Y]"],
    ["1/0/2024", "[D]/[M]/[Y]"],
    ["31 April 2024", "[D1] [MNn] [Y]"],
    ["february 2024", "[MNn] [Y]"],
    ["366 2023", "[d] [Y]"],
    ["2024-01-01 24:00", "[Y]-[M]-[D] [H]:[m]"],
    ["2024-01-01 25:00", "[Y]-[M]-[D] [H]:[m]"],
    ["2024-01-01 00:60", "[Y]-[M]-[D] [H]:[m]"],
    ["2024-01-01 00:00:60", "[Y]-[M]-[D] [H]:[m]:[s]"],
    ["2024-01-01 13:00 pm", "[Y]-[M]-[D] [h]:[m] [P]"],
    ["20240231", "[Y0001][M01][D01]"],
    ["31/02/2024 00:00 -05:00", "[D]/[M]/[Y] [H]:[m] [Z]"],
    ["25:00", "[H]:[m]"],
    ["2024-W05", "[Y]-W[W]"],
    ["12:34 Pm", "[h]:[m] [P]"],
    ["12:34 in the night, by am", "[h]:[m] in the [P], by am"],
    ["31/01/2024 00:00 +25:00", "[D]/[M]/[Y] [H]:[m] [Z]"],
    ["31/01/2024 00:00 -05:60", "[D]/[M]/[Y] [H]:[m] [Z]"],
    ["31/01/2024 00:00 +530", "[D]/[M]/[Y] [H]:[m] [Z0001]"],
    ["2024-01-01 2", "[Y]-[M]-[D] [F1]"],
  ])("%s does not exist (%s)", (text, picture) =>
    check(`$toMillis(${JSON.stringify(text)}, ${JSON.stringify(picture)})`, /cannot read/),
  );

  test("few zones are kept, however many are named", () => {
    const all = Intl.supportedValuesOf("timeZone");
    const many = new TimeZones();
    const before = process.memoryUsage().rss;
    for (let round = 0; round < 3; round += 1) {
      for (const zone of all) {
        many.offsetAt(zone, round * 1e12);
      }
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 2 ** 20);
    expect(many.offsetAt("Asia/Kolkata", 0)).toBe(330);
  });
});

describe("texts are encoded in UTF-8", () => {
  const cases: readonly (readonly [string, JsonValue | RegExp])[] = [
    ['$base64encode("Grüße 😀")', Buffer.from("Grüße 😀").toString("base64")],
    ['$base64decode($base64encode("Grüße 😀"))', "Grüße 😀"],
    ['$base64decode("R3LDvMOf-_8")', /not UTF-8/],
    ['$base64decode("R3L DvMOf")', /not Base64/],
    ['$base64decode("_-")', /not UTF-8/],
    ['$base64decode("YQ==\\r\\n")', "a"],
    ['$base64decode("YQ")', "a"],
    ['$base64decode("YQ=")', /not Base64/],
    ['$base64decode("YWJjZ")', /not Base64/],
    ['$base64decode("=")', /not Base64/],
    ['$base64encode("\\ud800")', /surrogate/],
    ['$encodeUrlComponent("ü/ 😀")', "%C3%BC%2F%20%F0%9F%98%80"],
    ['$decodeUrlComponent("%C3%BC")', "ü"],
    ['$hash("ü")', "607474ca475a9724d7360aba71a56d5df77e61350e3f724cfa1f46e857e2d85f"],
    ['$hash("abc")', "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
    ['$hash("abc", "md5")', "900150983cd24fb0d6963f7d28e17f72"],
    ['$hash("abc", "SHA-1", "base64")', "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="],
    ['$hash("\\ud800")', /surrogate/],
    ['$hash("abc", "crc32")', /\$hash has the algorithms md5, sha1/],
    ['$hash("abc", "md5", "octal")', /\$hash has the encodings hex/],
    ["$hash(nothing)", null],
  ];
  test.each(cases)("%s", (query, expected) => check(query, expected));
});

describe("JSON is read from texts", () => {
  const cases: readonly (readonly [string, JsonValue | RegExp])[] = [
    ["$parseJson(x).a[1]", 2],
    ["$count($parseJson(x).a)", 2],
    ['$parseJson("[]")', []],
    ['$parseJson("null")', null],
    ["$parseJson('\"t\"')", "t"],
    ["$parseJson('[7615917337495251231, 1e400, 1.5, 12]')", ["7615917337495251231", "1e400", 1.5, 12]],
    ["$parseJson('{\"a\": ')", /not JSON/],
    ["$parseJson('nobody')", /not JSON/],
    ["$parseJson('{\"_jsonata_lambda\": true}')", /_jsonata_lambda/],
    ["$parseJson(nothing)", null],
    ['$parseJson(\'{"__proto__": {"a": 1}}\').a', null],
  ];
  test.each(cases)("%s", (query, expected) => check(query, expected, { x: '{"a": [1, 2]}' }));
});

test("$uuid is a UUID, another each time, and the same when the run is repeated", async () => {
  const nodes = [
    start,
    { id: "t", transform: { query: "[$uuid(), $uuid()]" } },
    { id: "u", transform: { query: "($f := function(){ [$uuid(), $uuid()] }; $f())" } },
    { id: "r", response: { data: "[{{node.t.body}}, {{node.u.body}}]" } },
  ];
  const once = async () => (await run(nodes, ["start > t", "t > u", "u > r"])).response;
  const ids = ((await once()) as string[][]).flat();
  for (const id of ids) {
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
  expect(new Set(ids).size).toBe(4);
  expect((await once()) as string[][]).toEqual([ids.slice(0, 2), ids.slice(2)]);
});

describe("what a query names and nobody has is told at publish, with its place", () => {
  const cases: readonly (readonly [string, RegExp | undefined])[] = [
    ["$nobody(1)", /There is no function or variable \$nobody \(line 1, column 1\)/],
    ["a +\n  $x", /There is no function or variable \$x \(line 2, column 3\)/],
    ["{{event.body.long.path}} +\n  $x", /\$x \(line 2, column 3\)/],
    ["'a {{event.body.long.path}} b' & $x", /\$x \(line 1, column 34\)/],
    ["sum([1, 2])", /"sum" is a name in the data.*Did you mean \$sum\? \(line 1, column 1\)/],
    ["nobody()", /"nobody" is a name in the data, and not a function/],
    ["1 +\n(2", /line 2/],
    ["a ~> $upercase", /\$upercase. Did you mean \$uppercase\? \(line 1, column 6\)/],
    ["$summe([1])", /Did you mean \$sum\? /],
    ["($total := 1; $totl)", /Did you mean \$total\? /],
    ["a\n[$match(b, /(?=x)/)]", /lookaround/],
    ["($x := 1; $x + $$.y + $.z)", undefined],
    ["($f := function($n){ $n < 1 ? 0 : $f($n - 1) }; $f(3))", undefined],
    ["a@$o.b[$o.c = d]", undefined],
    ["a#$i.{'i': $i}", undefined],
    ["$map(a, λ($v, $k){ $v + $k })", undefined],
    ["a ~> |b|{'c': 1}|", undefined],
    ["a.b.%.c", undefined],
    ["$uuid() & $hash('a') & $string($parseJson('1')) & $now()", undefined],
    ["$f := $sum", undefined],
    ["{{event.body.a}} & '{{event.body.b}}'", undefined],
  ];
  test.each(cases)("%s", (query, message) => {
    const { errors } = compile([start, { id: "t", transform: { query } }], ["start > t"]);
    if (message === undefined) {
      expect(errors).toEqual([]);
    } else {
      expect(errors[0]).toMatchObject({ reason: "EXPRESSION_INVALID", message: expect.stringMatching(message) });
    }
  });

  test("all that JSONata has is known, and nothing else is", () => {
    const file = createRequire(import.meta.url).resolve("jsonata");
    const bound = [
      ...readFileSync(file, "utf8").matchAll(/(?:staticFrame|environment)\.bind\('(\w+)', defineFunction/g),
    ];
    const ours = ["hash", "parseJson", "uuid"];
    expect([...functionNames].toSorted()).toEqual([...new Set([...bound.map(([, name]) => name), ...ours])].toSorted());
  });
});

describe("a query that fails says where", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["1 +\n $number('x')", /Unable to cast value to a number: "x" \(line 2, column 2\)$/],
    ["'{{event.body.a}}' & 'long' & $number('x')", /\(line 1, column 31\)$/],
    ["($f := function(){ 1 }; $f();\n $number('x'))", /\(line 2, column 2\)$/],
    ["$base64decode('!')", /not Base64.? \(line 1, column 1\)$/],
    ["1 + 'a'", /\(line 1, column 3\)$/],
    ["$error('own words')", /own words$/],
  ];
  test.each(cases)("%s", async (query, message) => {
    const { outcome } = await run([start, { id: "t", transform: { query } }], ["start > t"]);
    expect(outcome.error?.message).toMatch(message);
  });
});
