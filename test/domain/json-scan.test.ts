import { describe, expect, test } from "vitest";
import type { JsonRules } from "../../src/domain/json/json-rules.ts";
import { messageRules } from "../../src/domain/json/json-rules.ts";
import { scanJson } from "../../src/domain/json/json-scan.ts";
import { defaultLimits } from "../../src/domain/limits.ts";
import { RequestError } from "../../src/domain/request-error.ts";

const rules: JsonRules = {
  name: "payload",
  limits: { bytesMax: 200, valuesMax: 20, depthMax: 4, keysMax: 18 },
};

type Refusal = { reason: string; field?: string; offset?: number; says?: string };

/** Scans a text, or bytes, and answers the text or what was said about the refusal. */
function check(input: string | Uint8Array, given: Partial<JsonRules> = {}): string | Refusal {
  try {
    return scanJson(typeof input === "string" ? Buffer.from(input) : input, { ...rules, ...given });
  } catch (error) {
    if (!(error instanceof RequestError)) {
      throw error;
    }
    const { metadata } = error.details;
    return {
      reason: error.reason,
      field: String(metadata?.["field"]),
      offset: Number(metadata?.["offset"]),
      says: error.message,
    };
  }
}

const accepted = [
  "null",
  "true",
  "false",
  "0",
  "-0",
  "-0.5e-3",
  "1E+2",
  "1e-400",
  "9007199254740991",
  "-9007199254740991",
  "1e21",
  "1.7976931348623157e308",
  "0.1234567890123456789",
  "12345678901.1234567890123456789",
  '""',
  '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041"',
  '"é € 😀 \\ud83d\\ude00"',
  '"\u007f\u0080\u07ff\u0800\ud7ff\ue000\uffff"',
  "[]",
  "{}",
  " \t\r\n[ 1 , [ ] , { } ]\n ",
  '{"a":1,"A":2,"":3," ":4}',
  '{"__proto__":{"a":1},"constructor":2}',
  '[{"a":1},{"a":1}]',
  '{"a":{"a":{"a":1}}}',
  '{"ab":1,"\\u0061c":2,"a":3}',
  "[[[[1]]]]",
];

test.each(accepted)("takes %j as it is", (text) => {
  expect(check(text)).toBe(text);
  expect(() => JSON.parse(text)).not.toThrow();
});

const lone = "half of a surrogate pair";
const refused: readonly (readonly [input: string | Uint8Array, refusal: Refusal])[] = [
  ["", { reason: "INVALID_JSON", field: "payload", offset: 0, says: "the text ends where a value is due" }],
  ["  ", { reason: "INVALID_JSON", offset: 2 }],
  ["\ufeff{}", { reason: "INVALID_JSON", offset: 0, says: "byte order mark" }],
  ["{} {}", { reason: "INVALID_JSON", offset: 3, says: "goes on after its value" }],
  ["1 2", { reason: "INVALID_JSON", offset: 2 }],
  ["]", { reason: "INVALID_JSON", offset: 0 }],
  ["[1,]", { reason: "INVALID_JSON", field: "payload[1]", offset: 3, says: 'there is "]" where a value is due' }],
  ["[1 2]", { reason: "INVALID_JSON", field: "payload[0]", offset: 3, says: 'a comma or "]"' }],
  ["[1}", { reason: "INVALID_JSON", offset: 2 }],
  ["[", { reason: "INVALID_JSON", field: "payload[0]", offset: 1 }],
  ['{"a":1,}', { reason: "INVALID_JSON", offset: 7, says: "a member name in double quotes" }],
  ['{"a" 1}', { reason: "INVALID_JSON", field: "payload.a", offset: 5, says: "a colon" }],
  ['{"a":1 "b":2}', { reason: "INVALID_JSON", field: "payload.a", offset: 7, says: 'a comma or "}"' }],
  ['{"a":}', { reason: "INVALID_JSON", field: "payload.a", offset: 5 }],
  ['{"a":1', { reason: "INVALID_JSON", offset: 6, says: "the text ends" }],
  ["{a:1}", { reason: "INVALID_JSON", offset: 1 }],
  ["{'a':1}", { reason: "INVALID_JSON", offset: 1 }],
  ["{1:1}", { reason: "INVALID_JSON", offset: 1 }],
  ["tru", { reason: "INVALID_JSON", offset: 3, says: "the word true" }],
  ["nul1", { reason: "INVALID_JSON", offset: 3 }],
  ["True", { reason: "INVALID_JSON", offset: 0 }],
  ["truefalse", { reason: "INVALID_JSON", offset: 4 }],
  ["NaN", { reason: "INVALID_JSON", offset: 0 }],
  ["Infinity", { reason: "INVALID_JSON", offset: 0 }],
  ["-Infinity", { reason: "INVALID_JSON", offset: 1, says: "a digit" }],
  ["01", { reason: "INVALID_JSON", offset: 1 }],
  ["-", { reason: "INVALID_JSON", offset: 1 }],
  ["+1", { reason: "INVALID_JSON", offset: 0 }],
  [".5", { reason: "INVALID_JSON", offset: 0 }],
  ["1.", { reason: "INVALID_JSON", offset: 2 }],
  ["1e", { reason: "INVALID_JSON", offset: 2 }],
  ["1e+", { reason: "INVALID_JSON", offset: 3 }],
  ["0x10", { reason: "INVALID_JSON", offset: 1 }],
  ["1 // one", { reason: "INVALID_JSON", offset: 2 }],
  ["\u00a01", { reason: "INVALID_JSON", offset: 0 }],
  ["[1e400]", { reason: "INVALID_JSON", field: "payload[0]", offset: 1, says: "send it as a string" }],
  ["-1e400", { reason: "INVALID_JSON", offset: 0 }],
  ["9007199254740992", { reason: "INVALID_JSON", says: "send it as a string" }],
  ["-9007199254740993", { reason: "INVALID_JSON", says: "the integer -9007199254740993" }],
  ["9".repeat(100), { reason: "INVALID_JSON", says: `${"9".repeat(40)}…` }],
  ["1e20", { reason: "INVALID_JSON", says: "the integer 1e20" }],
  ["9007199254740993.0", { reason: "INVALID_JSON" }],
  ['{"items":[1,2,3,{"id":9007199254740993}]}', { reason: "INVALID_JSON", field: "payload.items[3].id", offset: 22 }],
  ['{"Task Name":[1e999]}', { reason: "INVALID_JSON", field: 'payload["Task Name"][0]' }],
  ['{"a.b":1e999}', { reason: "INVALID_JSON", field: 'payload["a.b"]' }],
  ['{"\\u0061":1e999}', { reason: "INVALID_JSON", field: "payload.a" }],
  ['{"é":1e999}', { reason: "INVALID_JSON", field: 'payload["é"]' }],
  ['{"a":1,"b":2,"a":3}', { reason: "INVALID_JSON", field: "payload.a", offset: 13, says: "is given twice" }],
  ['{"a":1,"\\u0061":3}', { reason: "INVALID_JSON", field: "payload.a", offset: 7 }],
  ['{"\\u0061":1,"a":3}', { reason: "INVALID_JSON", field: "payload.a", offset: 12 }],
  ['{"é":1,"\\u00e9":3}', { reason: "INVALID_JSON", field: 'payload["é"]' }],
  ['{"😀":1,"\\ud83d\\ude00":3}', { reason: "INVALID_JSON" }],
  ['{"":1,"":3}', { reason: "INVALID_JSON", field: 'payload[""]' }],
  ['{"x":{"a":[],"a":3}}', { reason: "INVALID_JSON", field: "payload.x.a" }],
  ['"\\u0000"', { reason: "INVALID_JSON", offset: 1, says: "NUL" }],
  ['{"a":"x\\u0000"}', { reason: "INVALID_JSON", field: "payload.a", offset: 7, says: "NUL" }],
  ['{"x\\u0000":1}', { reason: "INVALID_JSON", field: "payload", offset: 3, says: "NUL" }],
  ['"\u0000"', { reason: "INVALID_JSON", offset: 1, says: "control character" }],
  ['"\n"', { reason: "INVALID_JSON", offset: 1, says: "control character" }],
  ['"\\ud83d"', { reason: "INVALID_JSON", offset: 1, says: lone }],
  ['"\\ud83dx"', { reason: "INVALID_JSON", says: lone }],
  ['"\\ud83d\\u0041"', { reason: "INVALID_JSON", says: lone }],
  ['"\\ud83d\\ud83d"', { reason: "INVALID_JSON", says: lone }],
  ['"\\ude00\\ud83d"', { reason: "INVALID_JSON", says: lone }],
  ['{"\\udfff":1}', { reason: "INVALID_JSON", field: "payload", says: lone }],
  ['"\\x41"', { reason: "INVALID_JSON", offset: 1, says: "an escape that JSON does not know" }],
  ['"\\u12g4"', { reason: "INVALID_JSON", offset: 1, says: "four hexadecimal digits" }],
  ['"\\u12', { reason: "INVALID_JSON", offset: 1 }],
  ['"abc', { reason: "INVALID_JSON", offset: 4, says: "the text ends inside a string" }],
  ['"abc\\', { reason: "INVALID_JSON", offset: 4 }],
  [Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22), { reason: "INVALID_JSON", offset: 1, says: lone }],
  ...[
    [0x80],
    [0xc0, 0xaf],
    [0xc1, 0xbf],
    [0xc3],
    [0xc3, 0x28],
    [0xe0, 0x80, 0xaf],
    [0xe2, 0x82],
    [0xe2, 0x82, 0x28],
    [0xf0, 0x8f, 0xbf, 0xbf],
    [0xf0, 0x9f, 0x98],
    [0xf4, 0x90, 0x80, 0x80],
    [0xf5, 0x80, 0x80, 0x80],
    [0xff],
  ].map((bytes): readonly [Uint8Array, Refusal] => [
    Uint8Array.of(0x5b, 0x22, ...bytes, 0x22, 0x5d),
    { reason: "INVALID_JSON", field: "payload[0]", offset: 2, says: "not UTF-8" },
  ]),
  [Uint8Array.of(0xff, 0xfe, 0x7b), { reason: "INVALID_JSON", offset: 0 }],
  ["[[[[[1]]]]]", { reason: "PAYLOAD_TOO_DEEP", field: "payload[0][0][0][0]", offset: 4 }],
  ['{"a":{"b":{"c":{"d":{}}}}}', { reason: "PAYLOAD_TOO_DEEP", field: "payload.a.b.c.d" }],
  [`[${"1,".repeat(19)}1]`, { reason: "PAYLOAD_TOO_LARGE", field: "payload[19]", says: "more than 20 values" }],
  [`"${"x".repeat(199)}"`, { reason: "PAYLOAD_TOO_LARGE", field: "payload", says: "larger than 200 bytes" }],
];

test.each(refused)("refuses %j", (input, refusal) => {
  const { says = "", ...rest } = refusal;
  expect(check(input)).toMatchObject({ ...rest, says: expect.stringContaining(says) });
});

test("a name is found again in an object of any size, escaped or not", () => {
  const limits = defaultLimits.payload;
  for (const size of [1, 2, 15, 16, 17, 18, 40, 9_999]) {
    const names = Array.from({ length: size }, (_, index) => `"name${index}":${index}`);
    const last = `name${size - 1}`;
    expect(check(`{${names.join()},"more":1}`, { limits })).toBeTypeOf("string");
    for (const again of [last, `\\u006e${last.slice(1)}`, "name0"]) {
      expect(check(`{${names.join()},"${again}":1}`, { limits })).toMatchObject({ reason: "INVALID_JSON" });
    }
  }
});

test("the largest value that the limits allow is taken, and one more of anything is not", () => {
  const limits = defaultLimits.payload;
  const members = (count: number) => `{${Array.from({ length: count }, (_, index) => `"k${index}":1`).join()}}`;
  const metadata = (input: string) => {
    try {
      return scanJson(Buffer.from(input), { name: "payload", limits });
    } catch (error) {
      return error instanceof RequestError ? { reason: error.reason, ...error.details.metadata } : error;
    }
  };
  expect(metadata(members(10_000))).toBeTypeOf("string");
  expect(metadata(members(10_001))).toMatchObject({ reason: "PAYLOAD_TOO_LARGE", limit: "keys", max: "10000" });
  expect(metadata(`[${"1,".repeat(49_998)}1]`)).toBeTypeOf("string");
  expect(metadata(`[${"1,".repeat(49_999)}1]`)).toMatchObject({ limit: "values", max: "50000", value: "50001" });
  expect(metadata("[".repeat(24) + "]".repeat(24))).toBeTypeOf("string");
  expect(metadata("[".repeat(25) + "]".repeat(25))).toMatchObject({
    reason: "PAYLOAD_TOO_DEEP",
    limit: "depth",
    max: "24",
    value: "25",
  });
  expect(metadata(`"${"x".repeat(1_048_574)}"`)).toBeTypeOf("string");
  expect(metadata(`"${"x".repeat(1_048_575)}"`)).toMatchObject({ limit: "bytes", max: "1048576", value: "1048577" });
});

describe("where an object is asked for", () => {
  test.each(["[1]", '"x"', "1", "-1", "true", "false", "null", " [", "[[[["])("%s is refused by its kind", (text) => {
    expect(check(text, { root: "object" })).toMatchObject({
      reason: "VALIDATION_ERROR",
      field: "payload",
      says: expect.stringContaining("payload must be a JSON object"),
    });
  });

  test.each(["hello", ""])("%j is refused as no JSON at all", (text) => {
    expect(check(text, { root: "object" })).toMatchObject({ reason: "INVALID_JSON" });
  });

  test("an object is taken", () => {
    expect(check(' {"a":[]}', { root: "object" })).toBe(' {"a":[]}');
  });
});

test("paths in a whole message start at its fields, and the largest payload fits into a message", () => {
  const given = messageRules(defaultLimits);
  expect(check('{"workflow":"x","payload":{"id":1e20}}', given)).toMatchObject({ field: "payload.id" });
  expect(check("{", given)).toMatchObject({ field: "", says: expect.stringMatching(/^The JSON text is not well-/) });
  const deepest = `{"payload":${'{"a":'.repeat(23)}{}${"}".repeat(24)}`;
  expect(check(deepest, given)).toBe(deepest);
});

test("a megabyte of brackets costs nothing", () => {
  const timeOf = (bytes: Buffer): number => {
    const start = performance.now();
    check(bytes, { limits: defaultLimits.payload });
    return performance.now() - start;
  };
  const deep = Buffer.alloc(1_048_576, "[");
  const plain = Buffer.from(`{"text":"${"x".repeat(1_048_000)}"}`);
  expect(check(deep, { limits: defaultLimits.payload })).toMatchObject({ reason: "PAYLOAD_TOO_DEEP" });
  // The best of several, beside a text of the same length that is read to its end: the machine is never quiet.
  const best = (bytes: Buffer) => Math.min(...Array.from({ length: 20 }, () => timeOf(bytes)));
  expect(best(deep)).toBeLessThan(best(plain));
});
