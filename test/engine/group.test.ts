import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { EventLoopYielder } from "../../src/domain/event-loop-yielder.ts";
import { begin, type Ended, ended, type NodeJson, type RunOptions, run, settle, start } from "./workflow.ts";

const answer: NodeJson = { id: "r", response: { data: "{{node.g.body}}" } };
const edges = ["start > g", "g each > x", "g > r"];
const group = (more: JsonObject = {}, rest: JsonObject = {}): NodeJson => ({
  id: "g",
  group: { array: "{{event.body.items}}", output: "{{node.x.body}}", ...more },
  ...rest,
});
const inner = (query: string, more: JsonObject = {}): NodeJson => ({
  id: "x",
  group_id: "g",
  transform: { query },
  ...more,
});

/** Expects what a Group over `items` gives. */
async function check(
  nodes: readonly NodeJson[],
  items: JsonValue,
  expected: JsonValue,
  options: RunOptions = {},
): Promise<Ended> {
  const result = await run([start, ...nodes, answer], edges, { body: { items }, ...options });
  expect(result.outcome.error).toBeUndefined();
  expect(result.response).toEqual(expected);
  return result;
}

/** Expects that the Group fails the run. */
async function checkFailure(
  nodes: readonly NodeJson[],
  items: JsonValue,
  reason: string,
  message: RegExp,
): Promise<Ended> {
  const result = await run([start, ...nodes, answer], edges, { body: { items } });
  expect(result.outcome).toMatchObject({ state: "ERRORED", error: { reason, node_id: "g" } });
  expect(result.outcome.error?.message).toMatch(message);
  return result;
}

describe("a Group runs its nodes once for each item", () => {
  test("the outputs are collected in the order of the items", async () => {
    const query = '{"item": {{node.g.body.array_item.v}}, "at": {{node.g.body.iteration_count}}, "all": $count(items)}';
    const items = [{ v: "a" }, { v: "b" }, { v: "c" }];
    const { states } = await check([group(), inner(query)], items, [
      { item: "a", at: 0, all: 3 },
      { item: "b", at: 1, all: 3 },
      { item: "c", at: 2, all: 3 },
    ]);
    expect(Object.keys(states).toSorted()).toEqual(
      ["start", "g[0]/x", "g[0]", "g[1]/x", "g[1]", "g[2]/x", "g[2]", "g", "r"].toSorted(),
    );
  });

  test("without items it gives the empty array, and nulls without an output", async () => {
    await check([group(), inner("1")], [], []);
    const silent = { id: "g", group: { array: "{{event.body.items}}" } };
    await check([silent, inner("1")], [1, 2], [null, null]);
  });

  test("with branches, Rules and joins of their own", async () => {
    const nodes = [
      start,
      group({ output: '["{{node.big.body}}", "{{node.x.body}}"]' }),
      {
        id: "q",
        group_id: "g",
        rule: { comparisons: [{ left: "{{node.g.body.array_item}}", operator: "gt", right: "1" }] },
      },
      { id: "big", group_id: "g", transform: { query: '"big"' } },
      inner("{{node.g.body.array_item}} * 10"),
      answer,
    ];
    const own = ["start > g", "g each > q", "q true > big", "big > x", "q false > x", "g > r"];
    const { response } = await run(nodes, own, { body: { items: [1, 2] } });
    expect(response).toEqual([
      [null, 10],
      ["big", 20],
    ]);
  });

  test("that see what is outside, and their own iteration only", async () => {
    const nodes = [
      start,
      { id: "o", transform: { query: '"out"' } },
      group({ output: '"{{node.o.body}} {{node.x.body}} {{node.y.body}}"', concurrency: 1 }),
      inner("{{node.g.body.array_item}}"),
      { id: "q", group_id: "g", rule: { comparisons: [{ left: "{{node.x.body}}", operator: "eq", right: "1" }] } },
      { id: "y", group_id: "g", transform: { query: '"y" & {{node.x.body}}' } },
      answer,
    ];
    const own = ["start > o", "o > g", "g each > x", "x > q", "q true > y", "g > r"];
    const { response, records } = await run(nodes, own, { body: { items: [1, 2] } });
    expect(response).toEqual(["out 1 y1", "out 2 "]);
    expect(records.find(({ path }) => path === "g")?.notes).toEqual(['"{{node.y.body}}" did not resolve.']);
  });

  test("as many at a time as it says", async () => {
    const wait = { id: "x", group_id: "g", delay: { seconds: "1" } };
    const { outcome, clock, journal } = begin([start, group({ concurrency: 3 }), wait, answer], edges, {
      body: { items: [1, 2, 3, 4, 5, 6, 7] },
    });
    const running: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      await settle();
      running.push(clock.waiting);
      clock.advance(1_000);
    }
    expect(ended(await outcome, journal).response).toEqual(Array(7).fill("Waited for 1 seconds."));
    expect(running).toEqual([3, 3, 1]);
  });

  test("50 run at a time where it does not say", async () => {
    const wait = { id: "x", group_id: "g", delay: { seconds: "1" } };
    const { outcome, clock, stop } = begin([start, group(), wait, answer], edges, {
      body: { items: Array(80).fill(0) },
    });
    await settle();
    expect(clock.waiting).toBe(50);
    stop.abort("enough");
    await expect(outcome).rejects.toBe("enough");
  });
});

describe("a Group works with two, with one and with none", () => {
  const due = { id: "due", transform: { query: "items[due]" } };
  const ids = { id: "x", group_id: "g", transform: { query: "{{node.g.body.array_item.id}}" } };
  const items = (...due: boolean[]) => due.map((isDue, index) => ({ id: index, due: isDue }));
  test.each([
    [items(true, true), [0, 1], undefined],
    [items(true, false), [0], ["The Group's array is one object, which counts as a list of one."]],
    [items(false), [], ["The Group's array is null, which counts as an empty list."]],
  ])("of %j", async (all, expected, notes) => {
    const nodes = [start, due, group({ array: "{{node.due.body}}" }), ids, answer];
    const { response, records } = await run(nodes, ["start > due", "due > g", "g each > x", "g > r"], {
      body: { items: all },
    });
    expect(response).toEqual(expected);
    expect(records.find(({ path }) => path === "g")?.notes).toEqual(notes);
  });
});

describe("a Group fails", () => {
  const broken = (bad: string) =>
    inner(`{{node.g.body.array_item}} = "${bad}" ? $error("no " & {{node.g.body.array_item}}) : 1`);

  test("when an iteration does; those under way end, and no other begins", async () => {
    const wait = { id: "w", group_id: "g", delay: { seconds: "{{node.g.body.array_item.s}}" } };
    const node = inner('{{node.g.body.array_item.bad}} ? $error("no") : 1', { name: "Check" });
    const items = [
      { s: 2, bad: false },
      { s: 1, bad: true },
      { s: 0, bad: false },
      { s: 9, bad: false },
      { s: 0, bad: false },
    ];
    const { outcome, clock, journal } = begin(
      [start, group({ concurrency: 3 }), wait, node, answer],
      ["start > g", "g each > w", "w > x", "g > r"],
      {
        body: { items },
      },
    );
    await settle();
    clock.advance(1_000);
    await settle();
    clock.advance(8_000);
    const { outcome: end, states } = ended(await outcome, journal);
    expect(end.error).toEqual({
      reason: "GROUP_ITERATIONS_FAILED",
      message:
        "Some batches errored: of 5 iterations 1 failed, 3 completed and 1 did not start. The first was iteration 1, at the " +
        'node "Check": The query failed: no',
      node_id: "g",
    });
    expect(states).toMatchObject({
      "g[0]/x": "SUCCESS",
      "g[1]/x": "ERRORED",
      "g[2]/x": "SUCCESS",
      "g[3]/x": "SUCCESS",
      g: "ERRORED",
    });
    expect(states).not.toHaveProperty("g[4]/w");
  });

  test("a failure stops only what runs beside it in its iteration", async () => {
    const wait = { id: "w", group_id: "g", delay: { seconds: "5" } };
    const { outcome, clock, journal } = begin(
      [start, group(), broken("b"), wait, answer],
      ["start > g", "g each > x", "g each > w", "g > r"],
      {
        body: { items: ["a", "b"] },
      },
    );
    await settle();
    clock.advance(5_000);
    expect(ended(await outcome, journal).states).toMatchObject({
      "g[0]/w": "SUCCESS",
      "g[1]/w": "STOPPED",
      "g[1]/x": "ERRORED",
    });
  });

  test("or is skipped where it says so", async () => {
    const { states } = await check([group({}, { settings: { skip_on_error: true } }), broken("b")], ["a", "b"], null);
    expect(states).toMatchObject({ g: "ERRORED_AND_SKIPPED", r: "SUCCESS" });
  });

  test("or an iteration goes on where its node says so", () => {
    const node = { ...broken("b"), settings: { skip_on_error: true } };
    return check([group(), node], ["a", "b", "c"], [1, null, 1]);
  });

  test.each([
    ["[1, 2]", /gave string.*\[ … \]/],
    [3, /gave number.*\[ … \]/],
  ])("when it is not given an array: %j", async (items, message) => {
    await checkFailure([group(), inner("1")], items, "GROUP_ARRAY_INVALID", message);
  });

  test("when the path of its array does not resolve", async () => {
    const message = /does not resolve.*\[ … \]/;
    await checkFailure([group({ array: "{{event.body.nope}}" }), inner("1")], [], "GROUP_ARRAY_INVALID", message);
  });

  test("when there are too many items", async () => {
    const items = Array(10_001).fill(0);
    await checkFailure(
      [group(), inner("1")],
      items,
      "GROUP_TOO_LARGE",
      /10001 iterations.*at most 10000 \(limit groupIterationsMax\)/,
    );
  });

  test("when an output is too large", async () => {
    const wide = group({ output: '["{{event.body.items.0}}", "{{event.body.items.0}}"]' });
    const items = ["x".repeat(600_000), 1];
    const message = /iteration 0, at the node "g": The output has more than 1048576 bytes/;
    const { states } = await checkFailure([wide, inner("1")], items, "GROUP_ITERATIONS_FAILED", message);
    expect(states).toMatchObject({ "g[0]/x": "SUCCESS", "g[0]": "ERRORED", g: "ERRORED" });
  });

  test("when the outputs together are too large, and begins no more then", async () => {
    const wide = group({ output: '"{{event.body.items.0}}"', concurrency: 1 });
    const items = ["x".repeat(300_000), 1, 2, 3, 4];
    const message = /^The outputs together have more than 1048576 bytes/;
    const { states } = await checkFailure([wide, inner("1")], items, "OUTPUT_TOO_LARGE", message);
    expect(states).toMatchObject({ "g[3]": "SUCCESS", g: "ERRORED" });
    expect(states).not.toHaveProperty("g[4]/x");
  });
});

/** How long a Group over so many items takes, and how often other work gets its turn meanwhile. */
async function measure(count: number, group: NodeJson, node: NodeJson) {
  const items = Array.from({ length: count }, (_, n) => n);
  let turns = 0;
  const other = setInterval(() => {
    turns += 1;
  }, 1);
  const begin = performance.now();
  const { records } = await check([group, node], items, items, { yielder: new EventLoopYielder() });
  clearInterval(other);
  // Start, Group, Response, and for each iteration its own record and that of its node.
  expect(records).toHaveLength(2 * count + 3);
  return { ms: performance.now() - begin, turns };
}

test("10,000 iterations take no longer each than 1,000 do, and let the process do other work", async () => {
  const same = { id: "x", group_id: "g", transform: { query: "$", input: "{{node.g.body.array_item}}" } };
  const few = await measure(1_000, group(), same);
  const many = await measure(10_000, group(), same);
  // Ten times as many iterations; a hundred times as long if each looked at all others.
  expect(many.ms / few.ms).toBeLessThan(40);
  expect(many.turns).toBeGreaterThan(10);
});

test("iterations without a query let the process do other work too", async () => {
  const comparisons = [{ left: "{{node.g.body.array_item}}", operator: "gt", right: "5" }];
  const rule = { id: "x", group_id: "g", rule: { comparisons } };
  const { turns } = await measure(10_000, group({ output: "{{node.g.body.array_item}}" }), rule);
  expect(turns).toBeGreaterThan(3);
});
