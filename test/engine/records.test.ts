import { expect, test } from "vitest";
import { begin, ended, run } from "./workflow.ts";

const start = { id: "start", start: { api_call: {} } };
const large = (id: string, more = {}) => ({ id, transform: { query: `{"x": $pad("", 2000, "y")}` }, ...more });
const limits = { recordsBytesMax: 5_000 };
const message = "The records of the execution would together have more than 5000 bytes (limit recordsBytesMax).";

const names = ["a", "b", "c", "d"];
const chain = names.map((name, index) => `${names[index - 1] ?? "start"} > ${name}`);

test.each([
  ["stops branches", {}, {}],
  ["finishes branches", { onFailure: "FINISH_BRANCHES" as const }, {}],
  ["goes on without nodes that fail", {}, { settings: { skip_on_error: true } }],
])("a run that %s ends at the node whose record passes the limit, and so does its replay", async (_, options, more) => {
  const nodes = [start, ...names.map((name) => large(name, more))];
  const first = await run(nodes, chain, { ...options, limits });
  expect(first.outcome).toMatchObject({
    state: "ERRORED",
    error: { reason: "RECORDS_TOO_LARGE", message, node_id: "c" },
  });
  expect(first.states).toEqual({ start: "SUCCESS", a: "SUCCESS", b: "SUCCESS", c: "ERRORED" });
  const again = begin(nodes, chain, { ...options, limits, earlier: first.records });
  expect((await again.outcome).error).toEqual(first.outcome.error);
  expect(again.journal.records).toEqual([]);
});

test.each([
  ["outputs of nodes", {}, {}],
  ["outputs of iterations", { output: '"{{node.i.body}}"' }, {}],
  ["failures that it goes on behind", { allow_partial_success: true }, { query: '$error("no")' }],
])(
  "a Group ends with all around it where there is no room for the %s of its iterations",
  async (_, group, transform) => {
    const nodes = [
      start,
      { id: "g", group: { count: "1000", concurrency: 4, ...group } },
      {
        id: "i",
        group_id: "g",
        transform: { query: `{"x": $pad("", 500, "y")}`, ...transform },
        settings: { skip_on_error: true },
      },
      large("z"),
    ];
    const edges = ["start > g", "g each > i", "g > z"];
    const first = await run(nodes, edges, { limits });
    expect(first.outcome).toMatchObject({ state: "ERRORED", error: { reason: "RECORDS_TOO_LARGE", message } });
    expect(first.records.length).toBeLessThan(30);
    expect(first.states["z"]).toBeUndefined();
    const again = begin(nodes, edges, { limits, earlier: first.records });
    const replayed = ended(await again.outcome, again.journal);
    expect(replayed.outcome.error).toEqual(first.outcome.error);
    expect(replayed.records).toEqual([]);
  },
);

test("records are counted in bytes of UTF-8", async () => {
  const wide = (id: string) => ({ id, transform: { query: '$pad("", 1000, "é")' } });
  const { states } = await run([start, wide("a"), wide("b"), wide("c")], ["start > a", "a > b", "b > c"], { limits });
  expect(states).toEqual({ start: "SUCCESS", a: "SUCCESS", b: "SUCCESS", c: "ERRORED" });
});
