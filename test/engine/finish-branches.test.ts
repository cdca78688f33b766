import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import type { NodeRun } from "../../src/domain/execution.ts";
import type { Graph } from "../../src/engine/graph/graph.ts";
import { retrySeed } from "../../src/engine/seeds/seed-from-retry.ts";
import { checkProblems } from "./definitions.ts";
import { begin, compile, type Ended, ended, type NodeJson, type RunOptions, settle, start } from "./workflow.ts";

type Workflow = { readonly nodes: readonly NodeJson[]; readonly edges: readonly string[]; readonly body?: JsonObject };

/** Runs to the end, and moves the clock whenever nothing goes on without it. */
async function finish({ nodes, edges, body }: Workflow, options: RunOptions = {}): Promise<Ended> {
  const all = { onFailure: "FINISH_BRANCHES", ...(body && { body }), ...options } as const;
  const { outcome, clock, journal } = begin(nodes, edges, all);
  let isOver = false;
  const end = outcome.finally(() => {
    isOver = true;
  });
  for (; !isOver; clock.advance(1_000)) {
    await settle();
  }
  return ended(await end, journal);
}

const pure = (id: string, query = `"${id}"`, more: JsonObject = {}): NodeJson => ({
  id,
  transform: { query },
  ...more,
});
const failing = (id: string, more: JsonObject = {}): NodeJson => pure(id, `$error('${id}')`, more);
const delay = (id: string, seconds = "1", more: JsonObject = {}): NodeJson => ({ id, delay: { seconds }, ...more });
const answer = (id: string, data: string): NodeJson => ({ id, response: { data } });
const terminate = (id: string, result: string, more: JsonObject = {}): NodeJson => ({
  id,
  terminate: { result, message: "over" },
  ...more,
});
const inGroup = { group_id: "g" };
const group = (more: JsonObject = {}): NodeJson => ({
  id: "g",
  group: { array: "{{event.body.rows}}", output: "{{node.g.body.array_item}}", concurrency: 1, ...more },
});
const isFirst = { comparisons: [{ left: "{{node.g.body.iteration_count}}", operator: "eq", right: "0" }] };
const ok = "SUCCESS";
const errorOf = (node_id: string) => ({ reason: "EXPRESSION_ERROR", node_id });

/** A name, a workflow, and the states and the outcome that are expected of it. */
type Case = readonly [string, Workflow, Record<string, string>, object];

const cases: readonly Case[] = [
  [
    "its branch ends and the others come to their end, and the first failure is told",
    {
      nodes: [
        start,
        delay("d", "2"),
        failing("late"),
        pure("x"),
        failing("bad"),
        pure("z"),
        delay("e", "3"),
        pure("y"),
      ],
      edges: ["start > d", "d > late", "late > x", "start > bad", "bad > z", "start > e", "e > y"],
    },
    { start: ok, bad: "ERRORED", d: ok, late: "ERRORED", e: ok, y: ok },
    { state: "ERRORED", error: errorOf("bad") },
  ],
  [
    "a node with several inputs waits for those that can still arrive, and has null of the one that cannot",
    {
      nodes: [start, failing("bad"), delay("d"), pure("j"), answer("r", '["{{node.bad.body}}", "{{node.j.body}}"]')],
      edges: ["start > bad", "start > d", "bad > j", "d > j", "j > r"],
    },
    { start: ok, bad: "ERRORED", d: ok, j: ok, r: ok },
    { state: "ERRORED", error: errorOf("bad"), response: '[null,"j"]' },
  ],
  [
    "a node none of whose inputs can arrive does not run, and what waits for it no longer does",
    {
      nodes: [start, failing("bad"), delay("d"), failing("worse"), pure("j"), pure("k"), pure("z")],
      edges: ["start > bad", "start > d", "d > worse", "bad > j", "worse > j", "j > k", "d > k", "k > z"],
    },
    { start: ok, bad: "ERRORED", d: ok, worse: "ERRORED", k: ok, z: ok },
    { state: "ERRORED", error: errorOf("bad") },
  ],
  [
    "a failure that is skipped is none",
    {
      nodes: [start, failing("bad", { settings: { skip_on_error: true } }), pure("z")],
      edges: ["start > bad", "bad > z"],
    },
    { start: ok, bad: "ERRORED_AND_SKIPPED", z: ok },
    { state: "COMPLETED" },
  ],
  [
    "the branches of an iteration come to their end, and no other iteration starts; beside the Group all goes on",
    {
      nodes: [
        start,
        group(),
        failing("bad", inGroup),
        delay("d", "1", inGroup),
        pure("y", "1", inGroup),
        delay("e", "9"),
      ],
      edges: ["start > g", "g each > bad", "g each > d", "d > y", "start > e"],
      body: { rows: [1, 2] },
    },
    { start: ok, "g[0]/bad": "ERRORED", "g[0]/d": ok, "g[0]/y": ok, "g[0]": "ERRORED", g: "ERRORED", e: ok },
    { state: "ERRORED", error: { reason: "GROUP_ITERATIONS_FAILED", node_id: "g" } },
  ],
  [
    "an iteration that may fail does so when its branches have come to their end",
    {
      nodes: [
        start,
        group({ allow_partial_success: true }),
        pure("x", "$number({{node.g.body.array_item}})", inGroup),
        delay("d", "1", inGroup),
        pure("j", "1", inGroup),
        answer("r", "{{node.g.body}}"),
      ],
      edges: ["start > g", "g each > x", "g each > d", "x > j", "d > j", "g > r"],
      body: { rows: ["1", "no"] },
    },
    {
      start: ok,
      ...{ "g[0]/x": ok, "g[0]/d": ok, "g[0]/j": ok, "g[0]": ok },
      ...{ "g[1]/x": "ERRORED", "g[1]/d": ok, "g[1]/j": ok, "g[1]": "ERRORED" },
      ...{ g: ok, r: ok },
    },
    { state: "COMPLETED", response: '["1",null]' },
  ],
  [
    "a Terminate of SUCCESS stops what is left, and what failed before it counts",
    {
      nodes: [start, failing("bad"), delay("d"), terminate("t", "SUCCESS"), delay("e", "2"), failing("z")],
      edges: ["start > bad", "start > d", "d > t", "start > e", "e > z"],
    },
    { start: ok, bad: "ERRORED", d: ok, t: ok, e: "STOPPED" },
    { state: "ERRORED", error: errorOf("bad") },
  ],
  [
    "a Terminate of ERROR stops what is left, and the first failure is told",
    {
      nodes: [start, failing("bad"), delay("d"), terminate("t", "ERROR"), delay("e", "2"), failing("z")],
      edges: ["start > bad", "start > d", "d > t", "start > e", "e > z"],
    },
    { start: ok, bad: "ERRORED", d: ok, t: "ERRORED", e: "STOPPED" },
    { state: "ERRORED", error: errorOf("bad") },
  ],
  ...(["SUCCESS", "ERROR"] as const).map(
    (result): Case => [
      `a Terminate of ${result} in an iteration, behind a node that one failed before`,
      {
        nodes: [
          start,
          group(),
          failing("bad", inGroup),
          pure("a", "1", inGroup),
          terminate("t", result, { ...inGroup, settings: { conditions: isFirst } }),
          delay("e", "2", inGroup),
          pure("z"),
        ],
        edges: ["start > g", "g each > bad", "g each > a", "g each > e", "bad > t", "a > t", "g > z"],
        body: { rows: [1, 2] },
      },
      {
        start: ok,
        ...{ "g[0]/bad": "ERRORED", "g[0]/a": ok, "g[0]/e": "STOPPED", "g[0]": "STOPPED", g: "STOPPED" },
        "g[0]/t": result === "ERROR" ? "ERRORED" : ok,
      },
      result === "ERROR" ? { state: "ERRORED", error: { reason: "TERMINATED", node_id: "t" } } : { state: "COMPLETED" },
    ],
  ),
];

describe("when a node fails and the branches are finished", () => {
  test.each(cases)("%s", async (_, workflow, states, outcome) => {
    const result = await finish(workflow);
    expect(result.states).toEqual(states);
    expect(result.outcome).toMatchObject(outcome);
  });

  test.each(cases)("a run that goes on after any break comes to the same end: %s", async (_, workflow) => {
    const whole = await finish(workflow);
    for (let kept = 0; kept <= whole.records.length; kept += 1) {
      const earlier = whole.records.slice(0, kept);
      const again = await finish(workflow, { earlier });
      expect(again.outcome, `${kept} records kept`).toEqual(whole.outcome);
      const stateOf = ({ path, state }: NodeRun) => `${path} ${state}`;
      // What is stopped has a record only if it was under way.
      const all = [...earlier, ...again.records].map(stateOf);
      expect(new Set(all).size).toBe(all.length);
      expect(whole.records.map(stateOf)).toEqual(expect.arrayContaining(all));
      const isDone = (run: NodeRun) => run.state !== "STOPPED";
      const expected = whole.records.filter(isDone).map(stateOf);
      expect(all).toEqual(expect.arrayContaining(expected));
    }
  });

  test("what a workflow does not ask for is not done", async () => {
    const [[, workflow] = []] = cases;
    for (const options of [{ onFailure: "STOP_BRANCHES" }, { onFailure: undefined }] as const) {
      const { states } = await finish(workflow ?? { nodes: [], edges: [] }, { ...options } as RunOptions);
      expect(states).toEqual({ start: ok, bad: "ERRORED", d: "STOPPED", e: "STOPPED" });
    }
  });
});

const record = (path: string, rest: Partial<NodeRun> = {}): NodeRun => ({
  path,
  node_id: path,
  state: "SUCCESS",
  attempts: 1,
  start_time: 0,
  end_time: 0,
  ...rest,
});

describe("the failure that was recorded first is told", () => {
  const workflow = { nodes: [start, failing("a"), pure("x"), pure("b")], edges: ["start > a", "start > x", "x > b"] };
  const failed = (node_id: string) =>
    record(node_id, { state: "ERRORED", error: { reason: "R", message: "m", node_id } });

  test("though a replay comes to another recorded one before it", async () => {
    const earlier = [record("start"), record("x"), failed("b"), failed("a")];
    const { outcome, records } = await finish(workflow, { earlier });
    expect([outcome.error?.node_id, records]).toEqual(["b", []]);
  });

  test("though another node fails before the replay comes to it", async () => {
    const { outcome, states } = await finish(workflow, { earlier: [record("start"), record("x"), failed("b")] });
    expect(states).toEqual({ a: "ERRORED" });
    expect(outcome.error?.node_id).toBe("b");
  });
});

test("a run that is put off after a failure goes on to the same end", async () => {
  const nodes = [start, failing("bad"), delay("d", "60"), pure("z")];
  const edges = ["start > bad", "start > d", "d > z"];
  const { outcome, journal, stop } = begin(nodes, edges, { onFailure: "FINISH_BRANCHES" });
  await settle();
  stop.abort(new Error("let go"));
  await expect(outcome).rejects.toThrow("let go");
  expect(journal.records.map(({ path }) => path)).toEqual(["start", "bad"]);
  const again = await finish({ nodes, edges }, { earlier: journal.records });
  expect([again.states, again.outcome.error?.node_id]).toEqual([{ d: ok, z: ok }, "bad"]);
});

describe("a retry of one node that failed", () => {
  test("runs all that failed and what is behind it, also what ran without its result", async () => {
    const nodes = [
      start,
      failing("bad"),
      failing("worse"),
      pure("a"),
      pure("j"),
      pure("k"),
      group({ allow_partial_success: true }),
      pure("x", "$number({{node.g.body.array_item}})", inGroup),
    ];
    const edges = [
      "start > bad",
      "start > worse",
      "start > a",
      "worse > j",
      "a > j",
      "j > k",
      "start > g",
      "g each > x",
    ];
    const body = { rows: ["1", "no"] };
    const whole = await finish({ nodes, edges, body });
    expect(whole.states).toMatchObject({ bad: "ERRORED", worse: "ERRORED", j: ok, k: ok, g: ok, "g[1]/x": "ERRORED" });
    const { graph } = compile(nodes, edges);
    const seed = takenOver(graph, whole.records, "bad");
    expect(seed?.map(({ path }) => path).toSorted()).toEqual(["a", "g", "g[0]", "g[0]/x", "start"]);
    const again = await finish({ nodes, edges, body }, { ...(seed && { earlier: seed }) });
    expect(Object.keys(again.states).toSorted()).toEqual(["bad", "j", "k", "worse"]);
  });

  test("inside of an iteration keeps its other branches", async () => {
    const nodes = [start, group(), failing("bad", inGroup), pure("a", "1", inGroup), pure("j", "1", inGroup)];
    const edges = ["start > g", "g each > bad", "g each > a", "bad > j", "a > j"];
    const whole = await finish({ nodes, edges, body: { rows: [1] } });
    const { graph } = compile(nodes, edges);
    const seed = takenOver(graph, whole.records, "g[0]/bad");
    expect(seed?.map(({ path }) => path).toSorted()).toEqual(["g[0]/a", "start"]);
  });
});

/** What a retry of the node takes over. */
function takenOver(
  graph: Graph | undefined,
  records: readonly NodeRun[],
  path: string,
): readonly NodeRun[] | undefined {
  const seed = graph && retrySeed(graph, path);
  for (const record of records) {
    seed?.see(record);
  }
  return seed && records.filter((record) => seed.keeps(record));
}

test("who reads a node that may have failed by then is warned", () => {
  const nodes = [start, pure("a"), pure("b"), pure("c"), answer("r", '["{{node.a.body}}", "{{node.c.body}}"]')];
  const edges = ["start > a", "start > b", "a > c", "b > c", "c > r"];
  checkProblems({ nodes, edges }, {});
  checkProblems({ nodes, edges, onFailure: "FINISH_BRANCHES" }, { warnings: ["TEMPLATE_MAY_BE_NULL r response.data"] });
});
