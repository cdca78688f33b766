import type { JsonValue } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import type { NodeRun } from "../../src/domain/execution.ts";
import type { JsonText } from "../../src/domain/json/json-text.ts";
import type { NodeView } from "../../src/engine/graph/definition-outline.ts";
import { shownRun } from "../../src/rpc/executions/shown-run.ts";

const secret = "[REDACTED]";

function show(output: JsonValue, view: NodeView | undefined): JsonValue {
  const run: NodeRun = {
    ...{ path: "4", node_id: "4", state: "SUCCESS", attempts: 1, start_time: 0, end_time: 0 },
    // A text as the engine would have written it.
    output: JSON.stringify(output) as JsonText,
  };
  return JSON.parse(shownRun(run, view).output ?? "");
}

const cases: readonly (readonly [name: string, paths: readonly string[], output: JsonValue, shown: JsonValue])[] = [
  ["a member", ["a"], { a: 1, b: 2 }, { a: secret, b: 2 }],
  ["a member inside, whatever it is", ["a.b"], { a: { b: { c: [1] } } }, { a: { b: secret } }],
  ["null", ["a"], { a: null }, { a: secret }],
  [
    "a member of every item",
    ["result.*.skill"],
    { result: [{ skill: "x", name: "n" }, { name: "m" }, 3] },
    { result: [{ skill: secret, name: "n" }, { name: "m" }, 3] },
  ],
  [
    "a member of every member",
    ["*.skill"],
    { a: { skill: 1 }, b: { skill: [] } },
    { a: { skill: secret }, b: { skill: secret } },
  ],
  ["every item", ["*"], [1, { a: 2 }], [secret, secret]],
  ["one item", ["1.a"], [{ a: 1 }, { a: 2 }], [{ a: 1 }, { a: secret }]],
  ["several paths, one inside of another", ["a.b", "a", "c.*"], { a: { b: 1 }, c: [2] }, { a: secret, c: [secret] }],
  ["a name with blanks and parentheses", ["a (b) c"], { "a (b) c": 1 }, { "a (b) c": secret }],
  [
    "a name that objects have by nature",
    ["__proto__.x", "constructor"],
    JSON.parse('{"__proto__":{"x":1}}'),
    JSON.parse(`{"__proto__":{"x":"${secret}"}}`),
  ],
  ["nothing where a path does not lead", ["a.b", "length", "0"], { a: "text" }, { a: "text" }],
];

test.each(cases)("what a path leads to is not shown: %s", (_, encryptedFields, output, shown) => {
  const told = show(output, { name: "", isGroup: false, isHidden: false, isResponse: false, encryptedFields });
  expect(JSON.stringify(told)).toBe(JSON.stringify(shown));
});

test("nothing is shown of a hidden node, nor of a node that nothing is known of", () => {
  expect(show({ a: 1 }, { name: "", isGroup: false, isHidden: true, isResponse: false, encryptedFields: ["a"] })).toBe(
    secret,
  );
  expect(show({ a: 1 }, undefined)).toBe(secret);
});
