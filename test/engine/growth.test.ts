import type { JsonObject } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { violationsOfFields } from "../../src/domain/json/fields.ts";
import { checkJson } from "../../src/domain/json/json-check.ts";
import { defaultLimits } from "../../src/domain/limits.ts";
import { matchesLike } from "../../src/engine/comparison/like-pattern.ts";
import { TextSearch } from "../../src/engine/comparison/text-search.ts";
import { Problems } from "../../src/engine/errors/problems.ts";
import { bindTemplates } from "../../src/engine/query/bind-templates.ts";
import { NodeInputs } from "../../src/engine/run/node-inputs.ts";
import { deriveSchemaOf } from "../../src/engine/schema/derive-schema.ts";
import { Field } from "../../src/engine/templates/field.ts";
import { compileJson } from "../../src/engine/templates/json-template.ts";
import { Names } from "../../src/engine/templates/names.ts";
import { compileText } from "../../src/engine/templates/text-template.ts";
import { compileUrl } from "../../src/engine/templates/url-template.ts";
import { checkOutput } from "../../src/engine/values/check-output.ts";
import { compile, type NodeJson, start } from "./workflow.ts";

const wide = 1_000_000_000;
const limits = {
  ...defaultLimits,
  definition: { bytesMax: wide, queryMax: wide, textMax: wide, templatesMax: wide, regexesMax: wide, problemsMax: 100 },
};
const json = { bytesMax: wide, valuesMax: wide, depthMax: 24, keysMax: wide };
const field = () => new Field(new Names([], new Problems(["1"]), { limits }), "1", "f");
const list = <Item>(count: number, make: (index: number) => Item) =>
  Array.from({ length: count }, (_, index) => make(index));
const members = (count: number) => Object.fromEntries(list(count, (index) => [`m${index}`, index]));
const chain = (count: number): NodeJson[] => list(count, (index) => ({ id: `n${index}`, response: { data: "1" } }));

/** What is given a size by authors or callers, and a size at which it takes some milliseconds. */
const functions: readonly (readonly [string, number, (size: number) => () => unknown])[] = [
  [
    "a query's templates",
    4_000,
    (size) => {
      const text = list(size, (i) => `{{event.body.a${i}}}`).join("+");
      return () => bindTemplates(text, field());
    },
  ],
  ["a query's divisions", 40_000, (size) => () => bindTemplates("1/".repeat(size), field())],
  [
    "a query's blanks and slashes",
    20_000,
    (size) => () => bindTemplates(`${" ".repeat(size)}${"1 / ".repeat(size)}`, field()),
  ],
  ["a query's underscores", 200_000, (size) => () => bindTemplates(`template${"_".repeat(size)}`, field())],
  [
    "JSON with templates in one string",
    5_000,
    (size) => () => compileJson(`"${"{{event.body}}".repeat(size)}"`, defaultLimits.output, field()),
  ],
  [
    "JSON with many strings",
    10_000,
    (size) => () => compileJson(`[${list(size, () => '"a{{event.body}}"').join(",")}]`, defaultLimits.output, field()),
  ],
  ["a text with templates", 10_000, (size) => () => compileText("{{event.body}} ".repeat(size), field())],
  [
    "a URL with templates",
    5_000,
    (size) => () => compileUrl(`https://a.example/${"{{event.body}}/".repeat(size)}`, field()),
  ],
  [
    "rendering",
    20_000,
    (size) => {
      const template = compileJson(
        `[${list(size, () => '"a{{event.body}}"').join(",")}]`,
        defaultLimits.output,
        field(),
      );
      return () => template.render({ read: () => 1 });
    },
  ],
  [
    "deriving a schema",
    5_000,
    (size) => {
      const sample = { a: list(size, (i) => ({ [`m${i}`]: 1 })) };
      return () => deriveSchemaOf(sample);
    },
  ],
  [
    "checking an output",
    20_000,
    (size) => {
      const value = [members(size)];
      return () => checkOutput(value, json);
    },
  ],
  [
    "checking JSON",
    20_000,
    (size) => {
      const value: JsonObject = { a: list(size, (i) => ({ i })) };
      return () => checkJson(value, { name: "a", limits: json });
    },
  ],
  [
    "declared fields",
    5_000,
    (size) => {
      const fields = list(size, (i) => ({ name: `f${i}`, type: 1 }));
      return () => violationsOfFields(fields as never, "fields");
    },
  ],
  ["a like", 200_000, (size) => () => matchesLike("a".repeat(size), "%a%a%b")],
  [
    "a search",
    100_000,
    (size) => () => new TextSearch(`${"a".repeat(size / 2)}b${"a".repeat(size / 2)}`).indexOf("a".repeat(2 * size)),
  ],
  [
    "the inputs of a node",
    2_000,
    (size) => {
      const root = { a: members(size), secret: 1 };
      return () => {
        const inputs = new NodeInputs(new Map([["n", ["secret"]]]));
        for (let i = 0; i < size; i += 1) {
          inputs.add(
            { text: `node.n.body.a.m${i}`, source: { kind: "node", nodeId: "n" }, path: ["a", `m${i}`] },
            root,
          );
        }
        return inputs.text;
      };
    },
  ],
  [
    "a chain of nodes",
    120,
    (size) => () => compile([start, ...chain(size)], ["start > n0", ...list(size - 1, (i) => `n${i} > n${i + 1}`)]),
  ],
  [
    "nodes in a circle",
    120,
    (size) => () =>
      compile([start, ...chain(size)], ["start > n0", ...list(size, (i) => `n${i} > n${(i + 1) % size}`)]),
  ],
];

test.each(functions)("%s grows with its size and no faster", (_, size, prepare) => {
  const large = best(prepare(size * 2));
  const small = best(prepare(size / 8));
  // Sixteen times as large: about 16 where it is linear, 256 where it is quadratic. What takes no time is noise.
  expect(large / Math.max(small, 1)).toBeLessThan(80);
});

/** The least CPU time of some runs, in ms: what else the machine does only adds to it. */
function best(run: () => unknown): number {
  const times = list(2, () => {
    const begin = process.threadCpuUsage().user;
    run();
    return (process.threadCpuUsage().user - begin) / 1_000;
  });
  return Math.min(...times);
}
