import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { begin, ended, type NodeJson, type RunOptions, run, settle, start } from "./workflow.ts";

const edges = ["start > g", "g each > x", "g > r"];
const answer: NodeJson = { id: "r", response: { data: "{{node.g.body}}" } };
const index = "{{node.g.body.iteration_count}}";

function workflow(group: JsonObject, query = index): readonly NodeJson[] {
  const inner = { id: "x", group_id: "g", transform: { query } };
  return [start, { id: "g", group: { output: "{{node.x.body}}", ...group } }, inner, answer];
}

/** What a Group gives, with the record that it leaves. */
async function check(nodes: readonly NodeJson[], expected: JsonValue, options?: RunOptions) {
  const { outcome, response, records } = await run(nodes, edges, options);
  expect(outcome.error).toBeUndefined();
  expect(response).toEqual(expected);
  return { records, group: records.find(({ path }) => path === "g") };
}

async function checkFailure(nodes: readonly NodeJson[], reason: string, message: RegExp, options?: RunOptions) {
  const { outcome, states } = await run(nodes, edges, options);
  expect(outcome).toMatchObject({ state: "ERRORED", error: { reason, node_id: "g" } });
  expect(outcome.error?.message).toMatch(message);
  return states;
}

const reads = (left: string, operator: string, right?: string) => ({
  comparisons: [{ left, operator, ...(right !== undefined && { right }) }],
});

describe("a count runs the nodes as often as it says", () => {
  test.each([
    ["3", [0, 1, 2]],
    ["0", []],
    [" 2 ", [0, 1]],
    ["2.0", [0, 1]],
    ["{{event.body.n}}", [0, 1, 2]],
    ["{{event.body.text}}", [0, 1, 2, 3]],
    ["{{event.body.n}}{{event.body.none}}", [0, 1, 2]],
  ])("%j", async (count, expected) => {
    await check(workflow({ count }), expected, { body: { n: 3, text: "4" } });
  });

  test("as many at a time as it may", async () => {
    const wait = { id: "x", group_id: "g", delay: { seconds: "1" } };
    const { outcome, clock, stop } = begin(
      [start, { id: "g", group: { count: "9", concurrency: 4 } }, wait],
      edges.slice(0, 2),
    );
    await settle();
    expect(clock.waiting).toBe(4);
    stop.abort("enough");
    await expect(outcome).rejects.toBe("enough");
  });

  test.each([
    [-1, /gave -1\.$/],
    [1.5, /gave 1.5\.$/],
    ["many", /gave string\.$/],
    [null, /gave null\.$/],
    [[1], /gave object\.$/],
  ])("and fails for %j", async (n, message) => {
    await checkFailure(workflow({ count: "{{event.body.n}}" }), "GROUP_COUNT_INVALID", message, { body: { n } });
  });

  test("above its limit no iteration begins", async () => {
    const message = /10001 iterations.*at most 10000 \(limit groupIterationsMax\)/;
    const states = await checkFailure(workflow({ count: "10001" }), "GROUP_TOO_LARGE", message);
    expect(Object.keys(states)).toEqual(["start", "g"]);
  });

  test("an iteration of a count has no item", async () => {
    const { group } = await check(workflow({ count: "1", output: '"{{node.g.body.array_item}}"' }), [null]);
    expect(group?.notes).toEqual(['"{{node.g.body.array_item}}" did not resolve.']);
  });
});

describe("a do_while runs the nodes", () => {
  test("again while its condition holds, which sees the nodes of the last iteration", async () => {
    const { records } = await check(
      workflow({ do_while: { condition: reads("{{node.x.body}}", "lt", "2") } }),
      [0, 1, 2],
    );
    const iterations = records.filter(({ path }) => /^g\[\d+\]$/.test(path));
    expect(iterations.map(({ path, port }) => `${path} ${port}`)).toEqual(["g[0] each", "g[1] each", "g[2] next"]);
  });

  test("once at least", () => check(workflow({ do_while: { condition: reads("1", "eq", "2") } }), [0]));

  test("one iteration after the other", async () => {
    const wait = { id: "x", group_id: "g", delay: { seconds: "1" } };
    const group = { id: "g", group: { do_while: { condition: reads(index, "lt", "2") } } };
    const { outcome, clock, journal } = begin([start, group, wait], edges.slice(0, 2));
    const running: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      await settle();
      running.push(clock.waiting);
      clock.advance(1_000);
    }
    expect(ended(await outcome, journal).states).toMatchObject({ "g[2]/x": "SUCCESS", g: "SUCCESS" });
    expect(running).toEqual([1, 1, 1]);
  });

  test("as often as there may be iterations, and then fails", async () => {
    const endless = workflow({ do_while: { condition: reads("1", "eq", "1") } });
    const message = /^The execution would have 8 iterations, but it runs at most 7 \(limit groupIterationsMax\)\.$/;
    const states = await checkFailure(endless, "GROUP_TOO_LARGE", message, { limits: { groupIterationsMax: 7 } });
    expect(states).toMatchObject({ "g[6]": "SUCCESS" });
    expect(states).not.toHaveProperty("g[7]");
  });

  test("until one fails", async () => {
    const nodes = workflow({ do_while: { condition: reads("1", "eq", "1") } }, `${index} < 2 ? 1 : $error("no")`);
    const message = /^Some batches errored: of 3 iterations 1 failed, 2 completed and 0 did not start\. .* iteration 2/;
    await checkFailure(nodes, "GROUP_ITERATIONS_FAILED", message);
  });
});

describe("break_when ends a Group after the iteration in which it holds", () => {
  const broken = { concurrency: 1, break_when: reads("{{node.x.body}}", "gte", "2") };
  test.each<[string, JsonObject]>([
    ["an array", { array: "{{event.body.items}}" }],
    ["a count", { count: "5" }],
    ["a do_while", { do_while: { condition: reads("1", "eq", "1") } }],
  ])("of %s", async (_, mode) => {
    const { records } = await check(workflow({ ...mode, ...broken }), [0, 1, 2], { body: { items: [7, 7, 7, 7, 7] } });
    const iterations = records.filter(({ path }) => /^g\[\d+\]$/.test(path));
    expect(iterations.map(({ path, port }) => `${path} ${port}`)).toEqual(["g[0] each", "g[1] each", "g[2] next"]);
  });

  test("the iterations that a break has left are there for the Groups behind", async () => {
    const nodes = [
      ...workflow({ count: "5", ...broken }),
      { id: "h", group: { count: "2", output: "1" } },
      { id: "y", group_id: "h", transform: { query: "1" } },
    ];
    const own = [...edges, "r > h", "h each > y"];
    const { outcome } = await run(nodes, own, { limits: { groupIterationsMax: 5 } });
    expect(outcome).toMatchObject({ state: "COMPLETED", response: "[0,1,2]" });
  });
});

describe("a Group that allows partial success", () => {
  const partial = (more: JsonObject = {}) => ({ allow_partial_success: true, count: "4", ...more });
  const odd = `${index} % 2 = 1 ? $error("odd") : ${index}`;

  test.each([1, 2, 50])("gives null for a failed iteration and notes the counts, %i at a time", async (concurrency) => {
    const { group, records } = await check(workflow(partial({ concurrency }), odd), [0, null, 2, null]);
    expect(group).toMatchObject({
      state: "SUCCESS",
      notes: [
        "Some batches errored: of 4 iterations 2 failed, 2 completed and 0 did not start. The first was iteration 1, at " +
          'the node "x": The query failed: odd',
      ],
    });
    const error = { reason: "EXPRESSION_ERROR", message: "The query failed: odd", node_id: "x" };
    expect(records.find(({ path }) => path === "g[3]")).toMatchObject({ state: "ERRORED", error });
    expect(records.find(({ path }) => path === "g[3]")).not.toHaveProperty("output");
  });

  test("fails when all iterations do", async () => {
    const message = /of 4 iterations 4 failed, 0 completed and 0 did not start/;
    await checkFailure(workflow(partial(), '$error("all")'), "GROUP_ITERATIONS_FAILED", message);
  });

  test("says nothing where none failed, and is well without iterations", async () => {
    expect((await check(workflow(partial()), [0, 1, 2, 3])).group).not.toHaveProperty("notes");
    await check(workflow(partial({ count: "0" })), []);
  });

  test("lets an output that is too large pass, not outputs that are too large together", async () => {
    const limits = { output: { bytesMax: 100, valuesMax: 100, depthMax: 9, keysMax: 9 } };
    const wide = (size: string) =>
      workflow(
        partial({ concurrency: 1, output: '["{{node.x.body}}", "{{node.x.body}}"]' }),
        `$pad("x", ${size}, "x")`,
      );
    await check(wide(`${index} = 1 ? 60 : 1`), [["x", "x"], null, ["x", "x"], ["x", "x"]], { limits });
    await checkFailure(wide("20"), "OUTPUT_TOO_LARGE", /together have more than 100 bytes/, { limits });
  });

  test("asks a do_while's condition and break_when after a failed iteration too", async () => {
    const condition = reads(index, "lt", "2");
    const mode = { allow_partial_success: true, do_while: { condition } };
    await check(workflow(mode, odd), [0, null, 2]);
    await check(workflow({ ...mode, break_when: reads("{{node.x.body}}", "is_null") }, odd), [0, null]);
  });

  test("ends like any other when the workflow is terminated inside", async () => {
    const stop = { id: "x", group_id: "g", terminate: { result: "ERROR", message: "over" } };
    const group = { id: "g", group: { count: "3", concurrency: 1, allow_partial_success: true } };
    const { outcome, states } = await run([start, group, stop, answer], edges);
    expect(outcome).toMatchObject({ state: "ERRORED", error: { reason: "TERMINATED", message: "over" } });
    expect(states).toEqual({ start: "SUCCESS", "g[0]/x": "ERRORED", "g[0]": "STOPPED", g: "STOPPED" });
  });
});
