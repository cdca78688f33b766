import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import type { Outcome } from "../../src/domain/execution.ts";
import type { JsonText } from "../../src/domain/json/json-text.ts";
import type { Children } from "../../src/engine/journal/children.ts";
import { begin, type Ended, ended, type NodeJson, type RunOptions, run, settle, start } from "./workflow.ts";

/** Expects the states of all nodes that have a record, and the outcome. */
function check({ states, outcome }: Ended, expectedStates: Record<string, string>, expectedOutcome: object): void {
  expect(states).toEqual(expectedStates);
  expect(outcome).toMatchObject(expectedOutcome);
}

const ok = "SUCCESS";
const delay = (id: string, wait: JsonObject): NodeJson => ({ id, delay: wait });
const answer = (id: string, data: string, more: JsonObject = {}): NodeJson => ({ id, response: { data, ...more } });

describe("Terminate", () => {
  test.each([
    [
      { result: "ERROR", message: "No {{event.body.what}}." },
      "ERRORED",
      { reason: "TERMINATED", message: "No luck.", node_id: "t", node_name: "End" },
    ],
    [
      { result: "ERROR" },
      "ERRORED",
      { reason: "TERMINATED", message: "The workflow was terminated with an error.", node_id: "t" },
    ],
    [{ result: "SUCCESS", message: "enough" }, "COMPLETED", undefined],
    [{}, "COMPLETED", undefined],
  ] as const)("ends the execution at once, whatever else runs: %j", async (terminate, state, error) => {
    const nodes = [start, delay("slow", { seconds: "60" }), { id: "t", name: "End", terminate }, answer("r", "1")];
    const { outcome, journal } = begin(nodes, ["start > slow", "slow > r", "start > t"], { body: { what: "luck" } });
    const result = ended(await outcome, journal);
    check(
      result,
      { start: ok, t: error === undefined ? ok : "ERRORED", slow: "STOPPED" },
      { state, ...(error && { error }) },
    );
    expect(result.outcome.error === undefined).toBe(error === undefined);
    expect(result.outcome.response).toBeUndefined();
  });

  test("stops what runs inside of a Group beside it", async () => {
    const group = { id: "g", group: { array: "{{event.body.items}}" } };
    const inner = { id: "d", group_id: "g", delay: { seconds: "60" } };
    const nodes = [start, group, inner, delay("first", { seconds: "1" }), { id: "t", terminate: {} }];
    const edges = ["start > g", "g each > d", "start > first", "first > t"];
    const { outcome, clock, journal } = begin(nodes, edges, { body: { items: [1, 2] } });
    await settle();
    clock.advance(1_000);
    const result = ended(await outcome, journal);
    const stopped = { "g[0]/d": "STOPPED", "g[0]": "STOPPED", "g[1]/d": "STOPPED", "g[1]": "STOPPED", g: "STOPPED" };
    check(result, { start: ok, first: ok, t: ok, ...stopped }, { state: "COMPLETED" });
    // A replay of all that ends in the same way, and starts nothing.
    const again = await run(nodes, edges, { body: { items: [1, 2, 3] }, earlier: result.records });
    expect(again.outcome).toEqual(result.outcome);
    expect(again.records).toEqual([]);
  });

  test("in a Group ends the whole execution, and no iteration begins after it", async () => {
    const nodes = [
      start,
      { id: "g", group: { array: "{{event.body.items}}", concurrency: 1 } },
      { id: "t", group_id: "g", terminate: { result: "ERROR", message: "item {{node.g.body.array_item}}" } },
    ];
    const result = await run(nodes, ["start > g", "g each > t"], { body: { items: [1, 2, 3] } });
    const error = { reason: "TERMINATED", message: "item 1", node_id: "t" };
    check(result, { start: ok, "g[0]/t": "ERRORED", "g[0]": "STOPPED", g: "STOPPED" }, { state: "ERRORED", error });
  });
});

describe("Response", () => {
  test("sets the response for good, with its status code; a later one is skipped with a note", async () => {
    const nodes = [start, answer("a", '{"n": 1}', { status_code: 201 }), answer("b", "2", { status_code: 400 })];
    const result = await run(nodes, ["start > a", "a > b"]);
    check(result, { start: ok, a: ok, b: "SKIPPED" }, { state: "COMPLETED", response: '{"n":1}', statusCode: 201 });
    expect(result.records.at(-1)?.notes).toEqual(["Another Response has already set the response."]);
  });

  test("comes before Start's output, which answers where no Response has run", async () => {
    const output = [
      { key: "whole", value: "{{node.t.body}}" },
      { key: "text", value: "n is {{node.t.body.n}}" },
    ];
    const panel = { id: "start", start: { api_call: { output } } };
    const transform = { id: "t", transform: { query: "{'n': 1}" } };
    const nodes = [panel, transform, answer("r", "5")];
    expect((await run(nodes, ["start > t"])).response).toEqual({ whole: { n: 1 }, text: "n is 1" });
    expect((await run(nodes, ["start > t", "t > r"])).response).toBe(5);
    expect((await run([start, transform], ["start > t"])).response).toBeUndefined();
  });

  test("Start's output that is over its limit ends the run with an error", async () => {
    const panel = {
      id: "start",
      name: "Begin",
      start: { api_call: { output: [{ key: "a", value: "{{event.body.x}}" }] } },
    };
    const limits = { output: { bytesMax: 20, valuesMax: 10, depthMax: 3, keysMax: 10 } };
    const { outcome } = await run([panel], [], { limits, body: { x: "x".repeat(30) } });
    expect(outcome).toMatchObject({
      state: "ERRORED",
      error: { reason: "OUTPUT_TOO_LARGE", node_id: "start", node_name: "Begin" },
    });
  });
});

describe("Delay", () => {
  const nodes = (wait: JsonObject) => [start, delay("d", wait), answer("r", "{{node.d.body}}")];
  const edges = ["start > d", "d > r"];

  test.each([
    [{ seconds: "2.5" }, 2_500, "Waited for 2.5 seconds."],
    [{ seconds: "{{event.body.n}}" }, 3_000, "Waited for 3 seconds."],
    [{ seconds: "{{event.body.text}}" }, 4_000, "Waited for 4 seconds."],
    [{ until: "2026-01-31T09:01:00Z" }, 60_000, "Waited for 60 seconds."],
    [{ until: "{{event.body.until}}" }, 30_000, "Waited for 30 seconds."],
    [{ until: "2020-01-01T00:00:00Z" }, 0, "Waited for 0 seconds."],
    [{ until: " 2026-01-31t09:00:00.2839z" }, 283, "Waited for 0.283 seconds."],
  ])("waits through the journal, for a time or until a moment: %j", async (wait, delayMs, text) => {
    const body = { n: 3, text: "4", until: "2026-01-31T11:00:30+02:00" };
    const { outcome, clock, journal } = begin(nodes(wait), edges, { body });
    await settle();
    expect(journal.waits).toEqual([{ path: "d", delayMs }]);
    clock.advance(delayMs - 1);
    await settle();
    expect(journal.records.length).toBe(delayMs === 0 ? 3 : 1);
    clock.advance(1);
    expect(ended(await outcome, journal).response).toBe(text);
  });

  test.each([
    [4_999, "Waited for 2.5 seconds."],
    [6_000, "Waited for 9 seconds."],
  ])("says how long it took where nobody went on with it for %i ms", async (late, text) => {
    const { outcome, clock, journal } = begin(nodes({ seconds: "2.5" }), edges);
    await settle();
    clock.advance(2_500 + late);
    expect(ended(await outcome, journal).response).toBe(text);
  });

  test("is longer than a node's time-out may be", async () => {
    const { outcome, clock, journal } = begin(nodes({ seconds: "86400" }), edges);
    await settle();
    clock.advance(86_400_000);
    expect(ended(await outcome, journal).response).toBe("Waited for 86400 seconds.");
  });

  test("does not wait in a synchronous execution", async () => {
    const { response } = await run(nodes({ seconds: "86400" }), edges, { type: "SYNC" });
    expect(response).toBe("Waited for 0 seconds since sync execution is true.");
  });

  test.each([
    [{ seconds: "{{event.body.n}}" }, { n: -1 }],
    [{ seconds: "{{event.body.n}}" }, { n: "1h" }],
    [{ seconds: "{{event.body.n}}" }, { n: "" }],
    [{ seconds: "{{event.body.n}}" }, {}],
    [{ seconds: "{{event.body.n}}" }, { n: 30 * 86_400 + 1 }],
    [{ seconds: "{{event.body.n}}" }, { n: "1e400" }],
    [{ until: "{{event.body.n}}" }, { n: 5 }],
    [{ until: "{{event.body.n}}" }, { n: "tomorrow" }],
    [{ until: "{{event.body.n}}" }, { n: "2026-02-29T00:00:00Z" }],
    [{ until: "{{event.body.n}}" }, { n: "2026-02-03T24:00:00Z" }],
    [{ until: "{{event.body.n}}" }, { n: "2026-03-03T00:00:00Z" }],
  ] as const)("refuses what is no time, or too long a time: %j %j", async (wait, body) => {
    for (const type of ["SYNC", "ASYNC"] as const) {
      const { outcome } = await run(nodes(wait), edges, { type, body });
      expect(outcome).toMatchObject({ state: "ERRORED", error: { reason: "DELAY_INVALID", node_id: "d" } });
    }
  });
});

test("a Delay that nobody went on with in time tells how long it took", async () => {
  const { outcome, clock, journal } = begin(
    [start, { id: "d", delay: { seconds: "3" } }, { id: "r", response: { data: "{{node.d.body}}" } }],
    ["start > d", "d > r"],
  );
  await settle();
  clock.advance(65_000);
  expect(ended(await outcome, journal).response).toBe("Waited for 65 seconds.");
});

describe("Sub Flow", () => {
  const asked: unknown[] = [];
  const children = (outcome?: Outcome): Children => ({
    run: async (place, request) => {
      asked.push({ ...place, ...request });
      return { executionId: "c", ...(outcome && { outcome }) };
    },
  });
  const error = { reason: "HTTP_STATUS", message: "The server answered 404.", status: 404, body: { gone: true } };
  const node = (more: JsonObject = {}): NodeJson => {
    const payload = '{"n": "{{event.body.n}}"}';
    return { id: "s", sub_flow: { workflow: "other", payload, config_id: "{{event.body.who}}", ...more } };
  };
  const flow = (more: JsonObject, options: RunOptions) =>
    run([start, node(more), answer("r", "{{node.s.body}}")], ["start > s", "s > r"], {
      body: { n: 7, who: "eu" },
      ...options,
    });

  test("asks for the other execution with what its templates give, and answers what that answered", async () => {
    const outcome: Outcome = { state: "COMPLETED", response: '{"x":1}' as JsonText, statusCode: 201 };
    const { response } = await flow({}, { children: children(outcome) });
    expect(response).toEqual({ execution_id: "c", status: "COMPLETED", return_value: { x: 1 }, status_code: 201 });
    const request = { workflow: "other", configId: "eu", payload: '{"n":7}', mode: "WAIT" };
    expect(asked).toEqual([expect.objectContaining({ path: "s", attempt: 1, ...request })]);
    expect((await flow({ mode: "DETACHED" }, { children: children() })).response).toEqual({ execution_id: "c" });
  });

  test("fails as the other execution did, or goes on with its error", async () => {
    const failed = children({ state: "ERRORED", error });
    const { message, status, body } = error;
    expect((await flow({}, { children: failed })).outcome).toMatchObject({
      state: "ERRORED",
      error: { reason: "SUB_FLOW_ERRORED", message, status, body, execution_id: "c", node_id: "s" },
    });
    const accepted = { execution_id: "c", status: "ERRORED", return_value: null, error };
    expect((await flow({ accept_errored: true }, { children: failed })).response).toEqual(accepted);
    const refused = await flow({ payload: "{{event.body.n}}" }, { children: failed });
    expect(refused.outcome.error?.reason).toBe("SUB_FLOW_REFUSED");
  });
});
