import { expect, test } from "vitest";
import { defaultLimits } from "../../src/domain/limits.ts";
import { compile, type NodeJson, start } from "./workflow.ts";

/** Compiles Start and one node more, and gives its problems with the CPU time that it took, in ms. */
function problemsOf(node: NodeJson, first: NodeJson = start) {
  const begin = process.threadCpuUsage().user;
  const { errors, warnings } = compile([first, node], [`${first.id} > ${node.id}`]);
  return { errors, warnings, ms: (process.threadCpuUsage().user - begin) / 1_000 };
}

const query = (text: string): NodeJson => ({ id: "t", transform: { query: text } });
const response = (data: string): NodeJson => ({ id: "r", response: { data } });
const { definition } = defaultLimits;
const regexes = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => `$contains("a", /[a-z]{1,400}x${from + index}/)`).join(",");

/** What the attack sent, with the seconds that it took; each is refused by a limit, and at once. */
const attacks: readonly (readonly [string, NodeJson, RegExp])[] = [
  [
    "a long name of a template's kind (20.8 s)",
    query(`"template${"_".repeat(200_000)}"`),
    /200010 characters of at most 65536 \(limit definition.queryMax\)/,
  ],
  ["many divisions (5.7 s)", query(`${"1/".repeat(100_000)}1`), /limit definition.queryMax/],
  [
    "many templates in a query (38 s)",
    query(Array.from({ length: 20_000 }, (_, i) => `{{event.body.a${i}}}`).join("+")),
    /limit definition.queryMax/,
  ],
  [
    "many regular expressions (4.4 s)",
    query(`[${regexes(1_500)}]`),
    /more than 100 regular expressions \(limit definition.regexesMax\)/,
  ],
  [
    "many templates in a text (36 s)",
    response(`"${"{{x}}".repeat(60_000)}"`),
    /characters of at most 262144 \(limit definition.textMax\)/,
  ],
  [
    "many templates in a shorter text",
    response(`"${"{{x}}".repeat(50_000)}"`),
    /more than 5000 templates \(limit definition.templatesMax\)/,
  ],
  [
    "a large definition",
    { ...response("1"), name: "n".repeat(1_100_000) },
    /bytes of at most 1048576 \(limit definition.bytesMax\)/,
  ],
];

test.each(attacks)("%s is refused by a limit, and at once", (_, node, told) => {
  const { errors, ms } = problemsOf(node);
  expect(errors.some(({ reason, message }) => reason === "DEFINITION_TOO_LARGE" && told.test(message))).toBe(true);
  expect(errors.length).toBeLessThanOrEqual(definition.problemsMax + 2);
  expect(ms).toBeLessThan(2_000);
});

/** The largest that the limits let through. */
const allowed: readonly (readonly [string, NodeJson])[] = [
  ["a long name of a template's kind", query(`"template${"_".repeat(60_000)}{{event.body.a}}"`)],
  [
    "many templates in a query",
    query(`[${Array.from({ length: 2_900 }, (_, i) => `{{event.body.a${i}}}`).join(",")}]`),
  ],
  ["many templates in one text", response(`"${"{{event.body.a}}".repeat(5_000)}"`)],
  ["as many regular expressions as may be", query(`[${regexes(100)}]`)],
];

test.each(allowed)("%s is compiled within a moment", (_, node) => {
  const { errors, ms } = problemsOf(node);
  expect(errors).toEqual([]);
  expect(ms).toBeLessThan(2_000);
});

test("regular expressions are counted over queries and schemas", () => {
  const patterns = Object.fromEntries(
    Array.from({ length: 60 }, (_, index) => [`m${index}`, { pattern: `^${index}$` }]),
  );
  const first: NodeJson = { id: "start", start: { api_call: { schema: { properties: patterns } } } };
  expect(problemsOf(query(`[${regexes(40)}]`), first).errors).toEqual([]);
  expect(problemsOf(query(`[${regexes(41)}]`), first).errors.map(({ reason }) => reason)).toContain(
    "DEFINITION_TOO_LARGE",
  );
});

test("a hundred problems are told, and how many more there are", () => {
  const { errors } = problemsOf(response(`[${Array.from({ length: 1_000 }, (_, i) => `"{{none${i}}}"`).join(",")}]`));
  expect(errors).toHaveLength(101);
  expect(errors.at(-1)).toMatchObject({ reason: "TOO_MANY_PROBLEMS", field: "" });
  expect(errors.at(-1)?.message).toMatch(/^There are 900 more\. .*100 are listed \(limit problemsMax\)\.$/);
});

test("what is told of a definition stays small, whatever its author wrote", () => {
  const long = "x".repeat(200_000);
  const nodes = Array.from(
    { length: 4 },
    (_, index): NodeJson => ({ id: `r${index}`, response: { data: `"{{${long}}}"` } }),
  );
  const { errors } = compile(
    [start, ...nodes],
    nodes.map(({ id }) => `start > ${id}`),
  );
  expect(errors).toHaveLength(4);
  expect(JSON.stringify(errors).length).toBeLessThan(10_000);
});
