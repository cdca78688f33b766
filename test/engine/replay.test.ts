import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import type { NodeRun } from "../../src/domain/execution.ts";
import type { JsonText } from "../../src/domain/json/json-text.ts";
import { begin, ended, type NodeJson, run, settle, start } from "./workflow.ts";

/**
 * Expects that a run which goes on from any part of its records ends as it did without a break, and runs no recorded
 * node again, nor one that did not run before. What runs beside a node that ends the run may come further in one run than
 * in another: then the records together are not the whole, but of no other iterations.
 */
async function check(
  nodes: readonly NodeJson[],
  edges: readonly string[],
  { body = {}, isWhole = true }: { body?: JsonObject; isWhole?: boolean } = {},
): Promise<void> {
  const whole = await run(nodes, edges, { body });
  for (let kept = 0; kept <= whole.records.length; kept += 1) {
    const earlier = whole.records.slice(0, kept);
    const again = await run(nodes, edges, { body, earlier });
    expect(again.outcome, `${kept} records kept`).toEqual(whole.outcome);
    const paths = (records: readonly NodeRun[]) => records.map(({ path }) => path);
    expect(paths(again.records).filter((path) => paths(earlier).includes(path))).toEqual([]);
    const all = new Set(paths([...earlier, ...again.records]));
    if (isWhole) {
      expect(all).toEqual(new Set(paths(whole.records)));
    } else {
      expect(iterations(paths(whole.records))).toEqual(expect.arrayContaining(iterations([...all])));
    }
  }
}

/** The paths of what is outside of all Groups, with the iterations of those. */
const iterations = (paths: readonly string[]) => paths.map((path) => path.replace(/\/.*/, ""));

const pure = (id: string, query = `"${id}"`, more = {}): NodeJson => ({ id, transform: { query }, ...more });
const partial = { allow_partial_success: true };
const reads = (id: string, operator: string, right: string) => ({
  comparisons: [{ left: `{{node.${id}.body}}`, operator, right }],
});
const random = '{"r": $random()}';

describe("a run that goes on after a break ends as it would have without", () => {
  test("with branches, joins, Rules and a Response", async () => {
    const rule = { id: "q", rule: { comparisons: [{ left: "{{node.a.body.r}}", operator: "lt", right: "0.5" }] } };
    const nodes = [
      start,
      pure("a", random),
      rule,
      pure("b"),
      pure("c"),
      { id: "r", response: { data: '["{{node.a.body}}", "{{node.b.body}}"]' } },
    ];
    await check(nodes, ["start > a", "a > q", "q true > b", "q false > c", "b > r", "c > r", "start > c"]);
  });

  test("with nodes that are skipped, and failures that are", async () => {
    const never = { conditions: { comparisons: [{ left: "1", operator: "eq", right: "2" }] } };
    const nodes = [
      start,
      pure("a", "$error('x')", { settings: { skip_on_error: true } }),
      pure("b", "1", { settings: never }),
      { id: "r", response: { data: '["{{node.a.body}}", "{{node.b.body}}"]', status_code: 201 } },
      { id: "r2", response: { data: "2" } },
    ];
    await check(nodes, ["start > a", "a > b", "b > r", "r > r2"]);
  });

  test("with a failure", () =>
    check([start, pure("a"), pure("bad", "$error('x')"), pure("z")], ["start > a", "a > bad", "bad > z"]));

  test.each(["SUCCESS", "ERROR"])("with a Terminate of %s", (result) =>
    check(
      [start, pure("a"), { id: "t", terminate: { result, message: "over" } }, pure("z")],
      ["start > a", "a > t", "t > z"],
    ),
  );

  test("with a Terminate in a Group", () => {
    const terminate = { id: "t", group_id: "g", terminate: { result: "ERROR", message: "{{node.g.body.array_item}}" } };
    const group = { id: "g", group: { array: "{{event.body.rows}}", concurrency: 1 } };
    return check([start, group, pure("x", "1", { group_id: "g" }), terminate], ["start > g", "g each > x", "x > t"], {
      body: { rows: [1, 2] },
    });
  });

  test("with Groups in Groups", async () => {
    const nodes = [
      start,
      { id: "g", group: { array: "{{event.body.rows}}", output: "{{node.h.body}}" } },
      {
        id: "h",
        group_id: "g",
        group: {
          array: "{{node.g.body.array_item}}",
          output: '{"r": "{{node.x.body.r}}", "n": {{node.h.body.array_item}}}',
        },
      },
      pure("x", random, { group_id: "h" }),
      { id: "r", response: { data: "{{node.g.body}}" } },
    ];
    await check(nodes, ["start > g", "g each > h", "h each > x", "g > r"], { body: { rows: [[1, 2], [], [3]] } });
  });

  test.each([1, 50])("with a Group that failed, %i at a time", (concurrency) =>
    check(
      [
        start,
        { id: "g", group: { array: "{{event.body.rows}}", concurrency } },
        pure("x", "$number({{node.g.body.array_item}})", { group_id: "g" }),
      ],
      ["start > g", "g each > x"],
      { body: { rows: ["1", "x", "3"] } },
    ),
  );

  test.each([1, 50])("with a Group that allows partial success, %i at a time", (concurrency) =>
    check(
      [
        start,
        { id: "g", group: { array: "{{event.body.rows}}", concurrency, output: "{{node.x.body}}", ...partial } },
        pure("x", "$number({{node.g.body.array_item}})", { group_id: "g" }),
        { id: "r", response: { data: "{{node.g.body}}" } },
      ],
      ["start > g", "g each > x", "g > r"],
      { body: { rows: ["1", "x", "3", "y", "5"] } },
    ),
  );

  test.each([
    ["a count that is broken off", { count: "9", concurrency: 1, break_when: reads("x", "gte", "3") }],
    ["a do_while", { do_while: { condition: reads("x", "neq", "3") } }],
    ["a do_while in which an iteration fails", { do_while: { condition: reads("x", "neq", "3") }, ...partial }],
  ])("with %s", async (_, mode) => {
    const nodes = [
      start,
      { id: "g", group: { ...mode, output: "{{node.x.body}}" } },
      pure("x", "{{node.g.body.iteration_count}} = 1 ? $number('x') : {{node.g.body.iteration_count}}", {
        group_id: "g",
        settings: { skip_on_error: !("allow_partial_success" in mode) },
      }),
      { id: "r", response: { data: "{{node.g.body}}" } },
    ];
    const edges = ["start > g", "g each > x", "g > r"];
    expect((await run(nodes, edges)).response).toEqual([0, null, 2, 3]);
    await check(nodes, edges);
  });

  test.each([
    ["SUCCESS", 1],
    ["SUCCESS", 3],
    ["ERROR", 1],
    ["ERROR", 3],
  ])("with a Terminate of %s in a Group, %i at a time", (result, concurrency) => {
    const last = { comparisons: [{ left: "{{node.g.body.array_item}}", operator: "eq", right: "x" }] };
    return check(
      [
        start,
        { id: "g", group: { array: "{{event.body.rows}}", concurrency } },
        pure("x", "1", { group_id: "g" }),
        { id: "t", group_id: "g", terminate: { result, message: "over" }, settings: { conditions: last } },
        pure("y", "2", { group_id: "g" }),
        pure("z"),
      ],
      ["start > g", "g each > x", "x > t", "t > y", "g > z"],
      { body: { rows: ["1", "2", "x", "3", "4"] }, isWhole: concurrency === 1 },
    );
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
// Texts as a journal would give them back.
const text = (value: unknown) => JSON.stringify(value) as JsonText;

test("what is recorded counts, not what the node would answer today", async () => {
  const nodes = [start, pure("a", "$error('must not run')"), { id: "r", response: { data: "{{node.a.body}}" } }];
  const { response } = await run(nodes, ["start > a", "a > r"], { earlier: [record("a", { output: text({ v: 1 }) })] });
  expect(response).toEqual({ v: 1 });
});

test("a recorded iteration counts, and nothing in it runs", async () => {
  const nodes = [
    start,
    { id: "g", group: { array: "{{event.body.rows}}", output: "{{node.x.body}}" } },
    pure("x", "{{node.g.body.array_item}}", { group_id: "g" }),
    { id: "r", response: { data: "{{node.g.body}}" } },
  ];
  const earlier = [record("g[1]", { node_id: "g", output: text("then"), notes: ["as it was"] })];
  const { response, records } = await run(nodes, ["start > g", "g each > x", "g > r"], {
    body: { rows: ["a", "b", "c"] },
    earlier,
  });
  expect(response).toEqual(["a", "then", "c"]);
  const paths = records.map(({ path }) => path);
  expect(paths.filter((path) => path.startsWith("g")).toSorted()).toEqual(["g", "g[0]", "g[0]/x", "g[2]", "g[2]/x"]);
  expect(records.find(({ path }) => path === "g")?.notes).toEqual(["as it was"]);
});

test("the port that a Rule took stays taken", async () => {
  const rule = { id: "q", rule: { comparisons: [{ left: "1", operator: "eq", right: "1" }] } };
  const earlier = [record("q", { output: text({ satisfied: false }), port: "false" })];
  const { states } = await run([start, rule, pure("yes"), pure("no")], ["start > q", "q true > yes", "q false > no"], {
    earlier,
  });
  expect(states).toEqual({ start: "SUCCESS", no: "SUCCESS" });
});

test("the Response that set the response stays it, though a replay comes to another one first", async () => {
  const nodes = [
    start,
    pure("a"),
    { id: "late", response: { data: "1", status_code: 201 } },
    { id: "early", response: { data: "2" } },
  ];
  const earlier = [record("late", { output: text("recorded") })];
  const { outcome, states } = await run(nodes, ["start > early", "start > a", "a > late"], { earlier });
  expect(outcome).toEqual({ state: "COMPLETED", response: '"recorded"', statusCode: 201 });
  expect(states).toMatchObject({ early: "SKIPPED" });
});

test("a failure that was recorded ends the run again, and what it stopped does not run", async () => {
  const error = { reason: "EXPRESSION_ERROR", message: "m", node_id: "bad" };
  const earlier = [record("start"), record("bad", { state: "ERRORED", error }), record("other", { state: "STOPPED" })];
  const nodes = [start, pure("bad"), pure("other"), pure("z")];
  const { outcome, records } = await run(nodes, ["start > bad", "start > other", "other > z"], { earlier });
  expect(outcome).toEqual({ state: "ERRORED", error });
  expect(records).toEqual([]);
});

test("attempts that were made are not made again, and the delay between two is waited for once", async () => {
  const bad = pure("bad", "$error('x')", { settings: { retry: { delay_ms: 1_000, max_attempts: 3 } } });
  const first = begin([start, bad], ["start > bad"]);
  await settle();
  first.clock.advance(1_000);
  await settle();
  const made = first.journal.records.map(({ path, state, attempts }) => [path, state, attempts]);
  expect(made).toEqual([
    ["start", "SUCCESS", 1],
    ["bad#1", "ERRORED", 1],
    ["bad#2", "ERRORED", 2],
  ]);
  const again = begin([start, bad], ["start > bad"], { earlier: first.journal.records });
  for (let turn = 0; turn < 2; turn += 1) {
    await settle();
    again.clock.advance(1_000);
  }
  await again.outcome;
  expect(again.journal.records.map(({ path, attempts }) => [path, attempts])).toEqual([["bad", 3]]);
});

test("a node that was only waiting runs", async () => {
  const { states } = await run([start, pure("a")], ["start > a"], { earlier: [record("a", { state: "WAITING" })] });
  expect(states).toMatchObject({ a: "SUCCESS" });
});

describe("a signal from outside", () => {
  const nodes = [start, pure("a"), { id: "d", delay: { seconds: "60" } }, pure("z")];
  const edges = ["start > a", "start > d", "d > z"];

  test("ends the run with its reason, and leaves no record of what was under way", async () => {
    const { outcome, clock, journal, stop } = begin(nodes, edges);
    await settle();
    const reason = new Error("let go");
    stop.abort(reason);
    await expect(outcome).rejects.toBe(reason);
    expect(ended({ state: "STOPPED" }, journal).states).toEqual({ start: "SUCCESS", a: "SUCCESS" });
    expect(clock.waiting).toBe(0);
    const again = begin(nodes, edges, { earlier: journal.records });
    await settle();
    again.clock.advance(60_000);
    expect(ended(await again.outcome, again.journal).states).toEqual({ d: "SUCCESS", z: "SUCCESS" });
  });

  test("ends a query that is under way", async () => {
    const endless = pure("t", "($f := function($n){ $f($n + 1) }; $f(1))");
    const { outcome, stop, journal } = begin([start, endless], ["start > t"], { limits: { queryMs: 60_000 } });
    await settle();
    stop.abort("any value");
    await expect(outcome).rejects.toBe("any value");
    expect(journal.records.map(({ path }) => path)).toEqual(["start"]);
  });

  test("that came before the run keeps it from starting", async () => {
    const earlier: NodeRun[] = [];
    const { outcome, stop, journal } = begin([start, { id: "d", delay: { seconds: "1" } }], ["start > d"], { earlier });
    stop.abort("early");
    await expect(outcome).rejects.toBe("early");
    expect(journal.records.filter(({ path }) => path === "d")).toEqual([]);
  });
});

test("a fault of the journal ends the run with that fault, and leaves nothing under way", async () => {
  const { outcome, clock, journal } = begin(
    [start, { id: "d", delay: { seconds: "60" } }, { id: "e", delay: { seconds: "1" } }, pure("z")],
    ["start > d", "start > e", "e > z"],
  );
  const fault = new Error("disk full");
  await settle();
  journal.record = () => {
    throw fault;
  };
  clock.advance(1_000);
  await expect(outcome).rejects.toBe(fault);
  expect(clock.waiting).toBe(0);
});
