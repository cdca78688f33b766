import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { begin, type Ended, ended, type NodeJson, type RunOptions, run, settle, start } from "./workflow.ts";

/** Expects the states of all nodes that have a record, and the outcome. */
function check({ states, outcome }: Ended, expectedStates: Record<string, string>, expectedOutcome: object): void {
  expect(states).toEqual(expectedStates);
  expect(outcome).toMatchObject(expectedOutcome);
}

const completed = { state: "COMPLETED" };
const ok = "SUCCESS";
const pure = (id: string, more: JsonObject = {}): NodeJson => ({ id, transform: { query: `"${id}"` }, ...more });
const failing = (id: string, settings: JsonObject = {}): NodeJson => ({
  id,
  name: `Node ${id}`,
  transform: { query: "$error('broken')" },
  settings,
});
const delay = (id: string, seconds = "10"): NodeJson => ({ id, delay: { seconds } });
const rule = (id: string, left: string): NodeJson => ({
  id,
  rule: { comparisons: [{ left, operator: "eq", right: "yes" }] },
});
const answer = (id: string, data: string, more: JsonObject = {}): NodeJson => ({ id, response: { data, ...more } });
const never = { conditions: { comparisons: [{ left: "1", operator: "eq", right: "2" }] } };

describe("branches", () => {
  test("a fan-out runs side by side, and a join runs once, behind all that can still arrive", async () => {
    const nodes = [start, delay("slow", "20"), delay("fast", "10"), pure("join"), pure("end")];
    const { outcome, clock, journal } = begin(nodes, [
      "start > slow",
      "start > fast",
      "slow > join",
      "fast > join",
      "join > end",
    ]);
    await settle();
    expect(journal.waits.map(({ path }) => path)).toEqual(["slow", "fast"]);
    clock.advance(10_000);
    await settle();
    expect(journal.records.map(({ path }) => path)).toEqual(["start", "fast"]);
    clock.advance(10_000);
    await outcome;
    expect(journal.records.map(({ path }) => path)).toEqual(["start", "fast", "slow", "join", "end"]);
  });

  test.each([
    ["yes", "yes", { a: ok, b: ok, join: ok }],
    ["yes", "no", { a: ok, join: ok }],
    ["no", "yes", { b: ok, join: ok }],
    ["no", "no", {}],
  ])("a join runs if at least one branch arrives, and never if none does: %s, %s", async (x, y, expected) => {
    const nodes = [
      start,
      rule("r", "{{event.body.x}}"),
      rule("s", "{{event.body.y}}"),
      pure("a"),
      pure("b"),
      pure("join"),
    ];
    const edges = ["start > r", "start > s", "r true > a", "s true > b", "a > join", "b > join"];
    check(await run(nodes, edges, { body: { x, y } }), { start: ok, r: ok, s: ok, ...expected }, completed);
  });

  test("what can no longer arrive is known through many nodes, and several edges of one port all count", async () => {
    const nodes = [start, rule("r", "{{event.body.x}}"), pure("a"), pure("b"), pure("c"), pure("join")];
    const edges = ["start > r", "r true > a", "r true > b", "a > c", "b > c", "c > join", "r false > join"];
    check(await run(nodes, edges, { body: { x: "no" } }), { start: ok, r: ok, join: ok }, completed);
    check(
      await run(nodes, edges, { body: { x: "yes" } }),
      { start: ok, r: ok, a: ok, b: ok, c: ok, join: ok },
      completed,
    );
  });

  test("a port without an edge ends its branch and nothing else", async () => {
    const nodes = [start, rule("r", "no"), pure("a"), pure("b")];
    check(await run(nodes, ["start > r", "r true > a", "start > b"]), { start: ok, r: ok, b: ok }, completed);
  });

  test("an unreachable node neither runs nor is waited for", async () => {
    const nodes = [start, pure("a"), pure("lost")];
    check(await run(nodes, ["start > a", "lost > a"]), { start: ok, a: ok }, completed);
  });

  test("a chain of 498 nodes runs to its end", async () => {
    const ids = Array.from({ length: 498 }, (_, index) => `n${index}`);
    const edges = ids.map((id, index) => `${ids[index - 1] ?? "start"} > ${id}`);
    const { states } = await run([start, ...ids.map((id) => pure(id))], edges);
    expect(Object.keys(states)).toHaveLength(499);
  });
});

describe("a node whose conditions do not hold is skipped, and its branch goes on", () => {
  test("its output is null", async () => {
    const nodes = [start, pure("a", { settings: never }), answer("r", '{"a": "{{node.a.body}}"}')];
    const result = await run(nodes, ["start > a", "a > r"]);
    check(result, { start: ok, a: "SKIPPED", r: ok }, { ...completed, response: '{"a":null}' });
    expect(result.records[1]).toMatchObject({ attempts: 0, output: "null" });
  });

  test("a skipped Rule goes on by its port false, a skipped Terminate and Response by next", async () => {
    const nodes = [
      start,
      { ...rule("r", "yes"), settings: never },
      { id: "t", terminate: { result: "ERROR" }, settings: never },
      { ...answer("s", "1"), settings: never },
      pure("a"),
      pure("b"),
    ];
    const edges = ["start > r", "r false > t", "r true > a", "t > s", "s > b"];
    check(await run(nodes, edges), { start: ok, r: "SKIPPED", t: "SKIPPED", s: "SKIPPED", b: ok }, completed);
  });
});

describe("a failure", () => {
  test("ends the run at once and stops what runs beside it", async () => {
    const nodes = [start, delay("slow"), delay("first", "1"), failing("bad"), pure("after")];
    const { outcome, clock, journal } = begin(nodes, ["start > slow", "start > first", "first > bad", "slow > after"]);
    await settle();
    clock.advance(1_000);
    const result = ended(await outcome, journal);
    const error = {
      reason: "EXPRESSION_ERROR",
      message: "The query failed: broken",
      node_id: "bad",
      node_name: "Node bad",
    };
    check(result, { start: ok, first: ok, bad: "ERRORED", slow: "STOPPED" }, { state: "ERRORED", error });
    // A replay must meet the failure before what it stopped.
    expect(result.records.map(({ path }) => path).slice(-2)).toEqual(["bad", "slow"]);
    expect(clock.waiting).toBe(0);
  });

  test("is skipped where the node says so, and the branch goes on with null", async () => {
    const nodes = [start, failing("bad", { skip_on_error: true }), answer("r", '["{{node.bad.body}}"]')];
    const result = await run(nodes, ["start > bad", "bad > r"]);
    check(result, { start: ok, bad: "ERRORED_AND_SKIPPED", r: ok }, { ...completed, response: "[null]" });
    expect(result.records[1]).toMatchObject({ attempts: 1, error: { reason: "EXPRESSION_ERROR", node_id: "bad" } });
  });

  test("keeps a response that was set before it", async () => {
    const result = await run([start, answer("r", "1"), failing("bad")], ["start > r", "r > bad"]);
    check(result, { start: ok, r: ok, bad: "ERRORED" }, { state: "ERRORED", response: "1" });
  });

  test("keeps what has not begun from beginning", async () => {
    const limits = { output: { bytesMax: 30, valuesMax: 10, depthMax: 3, keysMax: 10 } };
    const ids = Array.from({ length: 20 }, (_, index) => `q${index}`);
    const edges = ids.map((id, index) => (index === 0 ? `start > ${id}` : `q${index - 1} false > ${id}`));
    const nodes = [start, answer("bad", '"{{event.body.x}}"'), ...ids.map((id) => rule(id, "no"))];
    const { states } = await run(nodes, ["start > bad", ...edges], { limits, body: { x: "x".repeat(31) } });
    expect(states).toMatchObject({ bad: "ERRORED", q0: ok });
    expect(states).not.toHaveProperty("q19");
  });

  test("is also an output over its limit", async () => {
    const big = { id: "big", transform: { query: "[1..100]" } };
    const limits = { output: { bytesMax: 100, valuesMax: 1_000, depthMax: 32, keysMax: 10 } };
    check(
      await run([start, big], ["start > big"], { limits }),
      { start: ok, big: "ERRORED" },
      { error: { reason: "OUTPUT_TOO_LARGE" } },
    );
    const response = answer("r", '"{{event.body.x}}"');
    check(
      await run([start, response], ["start > r"], { limits, body: { x: "x".repeat(101) } }),
      { start: ok, r: "ERRORED" },
      { state: "ERRORED", error: { reason: "OUTPUT_TOO_LARGE", node_id: "r" } },
    );
  });
});

describe("a retry", () => {
  const retried = (policy: JsonObject, options: RunOptions = {}, settings: JsonObject = {}) =>
    begin([start, failing("bad", { retry: policy, ...settings })], ["start > bad"], options);

  test.each([
    ["FIXED", [100, 100, 100]],
    ["EXPONENTIAL", [100, 200, 400]],
  ])("waits as its policy says and has the last word: %s", async (strategy, delays) => {
    const { outcome, clock, journal } = retried({ strategy, delay_ms: 100, max_attempts: 4 });
    for (const ms of delays) {
      await settle();
      clock.advance(ms);
    }
    const result = ended(await outcome, journal);
    expect(journal.waits).toEqual(delays.map((delayMs, index) => ({ path: `bad#${index + 2}`, delayMs })));
    expect(result.records.at(-1)).toMatchObject({ path: "bad", state: "ERRORED", attempts: 4 });
  });

  test("with jitter waits between a half and the whole, and the same on a replay", async () => {
    const delays = async () => {
      const { outcome, clock, journal } = retried({ delay_ms: 1_000, max_attempts: 3, jitter: true });
      await settle();
      clock.advance(1_000);
      await settle();
      clock.advance(1_000);
      await outcome;
      return journal.waits.map(({ delayMs }) => delayMs);
    };
    const first = await delays();
    expect(await delays()).toEqual(first);
    expect(first[0]).not.toBe(first[1]);
    for (const ms of first) {
      expect(ms).toBeGreaterThanOrEqual(500);
      expect(ms).toBeLessThanOrEqual(1_000);
    }
  });

  test("is made before a node is skipped on error, but not in a synchronous execution", async () => {
    const policy = { delay_ms: 0, max_attempts: 3 };
    for (const [type, skip, attempts] of [
      ["ASYNC", true, 3],
      ["SYNC", true, 1],
      ["SYNC", false, 3],
    ] as const) {
      const { outcome, journal } = retried(policy, { type }, { skip_on_error: skip });
      await outcome;
      expect(journal.records.at(-1)?.attempts, `${type} ${skip}`).toBe(attempts);
    }
  });

  test("that waits is ended by a failure beside it", async () => {
    const nodes = [
      start,
      failing("bad", { retry: { delay_ms: 5_000, max_attempts: 2 } }),
      delay("d", "1"),
      failing("worse"),
    ];
    const { outcome, clock, journal } = begin(nodes, ["start > bad", "start > d", "d > worse"]);
    await settle();
    clock.advance(1_000);
    const result = ended(await outcome, journal);
    expect(result.states).toMatchObject({ worse: "ERRORED", bad: "STOPPED" });
  });
});

test("a node that takes longer than its time-out is timed out, try by try", async () => {
  const endless = { id: "t", transform: { query: "($f := function($n){ $f($n + 1) }; $f(1))" } };
  const settings = { timeout_ms: 500, retry: { max_attempts: 2 } };
  const { outcome, clock, journal } = begin([start, { ...endless, settings }], ["start > t"]);
  for (const _attempt of [1, 2]) {
    // Its time begins when a child process does.
    await eventually(() => expect(clock.waiting).toBe(1));
    clock.advance(500);
  }
  const result = ended(await outcome, journal);
  const error = { reason: "NODE_TIMED_OUT", message: "The node took longer than 500 ms.", node_id: "t" };
  check(result, { start: ok, "t#1": "TIMED_OUT", t: "TIMED_OUT" }, { state: "ERRORED", error });
  expect(result.records.at(-1)?.attempts).toBe(2);
  expect(clock.waiting).toBe(0);
});
