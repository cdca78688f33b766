import type { JsonValue } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { checkJson } from "../../src/domain/json/json-check.ts";
import type { JsonRules } from "../../src/domain/json/json-rules.ts";
import { scanJson } from "../../src/domain/json/json-scan.ts";
import { defaultLimits } from "../../src/domain/limits.ts";
import { RequestError } from "../../src/domain/request-error.ts";

const rules: JsonRules = { name: "payload", limits: { bytesMax: 400, valuesMax: 20, depthMax: 4, keysMax: 6 } };

/** Checks a value and answers its text, or the reason and path of the refusal. */
function check(value: unknown, given: Partial<JsonRules> = {}): string {
  // Some of the values are what a JsonValue should never be.
  return verdict(() => checkJson(value as JsonValue, { ...rules, ...given }));
}

function verdict(decide: () => string): string {
  try {
    return decide();
  } catch (error) {
    if (!(error instanceof RequestError)) {
      throw error;
    }
    return `${error.reason} ${error.details.metadata?.["field"]}`;
  }
}

const cyclic: unknown[] = [];
cyclic.push(cyclic);

test.each([
  [null, "null"],
  [-0, "0"],
  [1e21, "1e+21"],
  [2 ** 53 - 1, "9007199254740991"],
  [{ a: [1, "é", true, null, {}] }, '{"a":[1,"é",true,null,{}]}'],
  [JSON.parse('{"__proto__":1}'), '{"__proto__":1}'],
  [2 ** 53, "INVALID_JSON payload"],
  [{ a: [0, 1e20] }, "INVALID_JSON payload.a[1]"],
  [{ items: [1, 2, 3, { id: Number.NaN }] }, "INVALID_JSON payload.items[3].id"],
  [[Number.POSITIVE_INFINITY], "INVALID_JSON payload[0]"],
  [{ a: "x\0" }, "INVALID_JSON payload.a"],
  [{ b: { "x\0": 1 } }, "INVALID_JSON payload.b"],
  [{ a: "\ud83d" }, "INVALID_JSON payload.a"],
  [{ "\udc00": 1 }, "INVALID_JSON payload"],
  [{ a: undefined }, "INVALID_JSON payload.a"],
  [[() => 1], "INVALID_JSON payload[0]"],
  [[1n], "INVALID_JSON payload[0]"],
  [[[[[[]]]]], "PAYLOAD_TOO_DEEP payload[0][0][0][0]"],
  [cyclic, "PAYLOAD_TOO_DEEP payload[0][0][0][0]"],
  [Array(20).fill(1), "PAYLOAD_TOO_LARGE payload[19]"],
  [{ a: { b1: 1, b2: 1, b3: 1, b4: 1, b5: 1, b6: 1, b7: 1 } }, "PAYLOAD_TOO_LARGE payload.a"],
  ["x".repeat(399), "PAYLOAD_TOO_LARGE payload"],
  ["\n".repeat(200), "PAYLOAD_TOO_LARGE payload"],
])("value %# is written or refused: %o", (value, expected) => {
  expect(check(value)).toBe(expected);
});

test.each([[[]], ["x"], [1], [null], [true]])("%j is refused where an object is asked for", (value) => {
  expect(check(value, { root: "object" })).toBe("VALIDATION_ERROR payload");
});

test("a value of any depth is refused, not recursed into", () => {
  let value: JsonValue = [];
  for (let depth = 0; depth < 200_000; depth++) {
    value = [value];
  }
  expect(check(value)).toMatch(/^PAYLOAD_TOO_DEEP/);
});

test("a value and its text get the same verdict at the same place", () => {
  const limits = { ...defaultLimits.payload, depthMax: 5, keysMax: 8, valuesMax: 60 };
  const string = fc.string({ unit: fc.constantFrom("a", "\0", "\ud800", "é", "😀", '"', "\\", "\n") });
  const number = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer(), fc.maxSafeInteger());
  const { value } = fc.letrec<{ value: JsonValue }>((tie) => ({
    value: fc.oneof(
      { depthSize: "large", withCrossShrink: true },
      number,
      fc.boolean(),
      fc.constant(null),
      fc.oneof(fc.string(), fc.string(), string),
      fc.array(tie("value"), { maxLength: 6 }),
      fc.dictionary(fc.oneof(fc.string(), string), tie("value"), { maxKeys: 10 }),
    ),
  }));
  fc.assert(
    fc.property(value, (generated) => {
      const text = JSON.stringify(generated);
      const scanned = verdict(() => scanJson(Buffer.from(text), { name: "payload", limits }));
      expect(check(generated, { limits })).toBe(scanned);
    }),
    { numRuns: 2_000 },
  );
});

test("an arbitrary JSON value survives the scan, and what was accepted is accepted again when it is written again", () => {
  const limits = { bytesMax: 1e9, valuesMax: 1e9, depthMax: 1_000, keysMax: 1e9 };
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: "binary" }), (value) => {
      const text = verdict(() => scanJson(Buffer.from(JSON.stringify(value)), { name: "payload", limits }));
      if (/^INVALID_JSON/.test(text)) {
        return;
      }
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      expect(check(JSON.parse(text), { limits })).toBe(JSON.stringify(value));
    }),
    { numRuns: 2_000 },
  );
});

test("whatever bytes come, the scan accepts only what JSON.parse accepts and throws only refusals", () => {
  const limits = { ...defaultLimits.payload, depthMax: 1_000 };
  const seeds = [
    '{"a":[1,-2.5e3,"x\\u0041\\n",true,false,null],"b":{"c":"é😀"}}',
    '[{"id":123456789012345,"t":"\\ud83d\\ude00"},[[[]]],1e-7]',
  ];
  const mutation = fc.record({ at: fc.nat(80), remove: fc.nat(3), insert: fc.uint8Array({ maxLength: 3 }) });
  const syntax = fc.record({
    at: fc.nat(80),
    remove: fc.nat(2),
    insert: fc.string({ unit: fc.constantFrom(...'{}[],:"\\ue0123456789.-+tfn ') }).map((text) => Buffer.from(text)),
  });
  fc.assert(
    fc.property(fc.constantFrom(...seeds), fc.array(fc.oneof(mutation, syntax), { maxLength: 4 }), (seed, changes) => {
      let bytes = Buffer.from(seed);
      for (const { at, remove, insert } of changes) {
        bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
      }
      const text = verdict(() => scanJson(bytes, { name: "payload", limits }));
      if (/^(INVALID_JSON|PAYLOAD_)/.test(text)) {
        return;
      }
      const value: JsonValue = JSON.parse(new TextDecoder("utf8", { fatal: true }).decode(bytes));
      expect(check(value, { limits })).toBe(JSON.stringify(value));
    }),
    { numRuns: 20_000 },
  );
});
