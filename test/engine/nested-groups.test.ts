import { describe, expect, test } from "vitest";
import { type NodeJson, run, start } from "./workflow.ts";

test("Groups in Groups keep their items apart", async () => {
  const nodes = [
    start,
    { id: "g", group: { array: "{{event.body.items}}", output: "{{node.h.body}}" } },
    {
      id: "h",
      group_id: "g",
      group: { array: "{{node.g.body.array_item.cells}}", output: '"{{node.g.body.array_item.row}}{{node.y.body}}"' },
    },
    {
      id: "y",
      group_id: "h",
      transform: { query: '{{node.h.body.array_item}} & "/" & {{node.g.body.iteration_count}} & {{node.x.body}}' },
    },
    { id: "x", group_id: "g", transform: { query: '"."' } },
    { id: "r", response: { data: "{{node.g.body}}" } },
  ];
  const own = ["start > g", "g each > x", "x > h", "h each > y", "g > r"];
  const items = [
    { row: "A", cells: [1, 2] },
    { row: "B", cells: [] },
    { row: "C", cells: [3] },
  ];
  const { response, states } = await run(nodes, own, { body: { items } });
  expect(response).toEqual([["A1/0.", "A2/0."], [], ["C3/2."]]);
  expect(Object.keys(states)).toEqual(expect.arrayContaining(["g[0]/h[1]/y", "g[2]/h[0]/y", "g[1]/h"]));
});

describe("Groups three deep", () => {
  const nest = (id: string, outer: string | undefined, item: string, output: string): NodeJson => ({
    id,
    ...(outer !== undefined && { group_id: outer }),
    group: { array: item, output },
  });
  const nodes = [
    start,
    nest("4", undefined, "{{event.body.items}}", "{{node.7.body}}"),
    nest("7", "4", "{{node.4.body.array_item}}", "{{node.8.body}}"),
    nest("8", "7", "{{node.7.body.array_item}}", "{{node.9.body}}"),
    { id: "9", group_id: "8", transform: { query: "{{node.8.body.array_item}} * 10" } },
    { id: "r", response: { data: "{{node.4.body}}" } },
  ];
  const own = ["start > 4", "4 each > 7", "7 each > 8", "8 each > 9", "4 > r"];
  const items = [[], [[1], [2, 3]], [[], [4]]];

  test("leave a record for each iteration, with what it gave and how many were inside", async () => {
    const { response, records } = await run(nodes, own, { body: { items } });
    expect(response).toEqual([[], [[10], [20, 30]], [[], [40]]]);
    const byPath = new Map(records.map((record) => [record.path, record]));
    const shared = { state: "SUCCESS", attempts: 1, start_time: expect.any(Number), end_time: expect.any(Number) };
    expect(byPath.get("4")).toMatchObject({ iterations: 11 });
    expect(byPath.get("4[0]")).toEqual({ ...shared, path: "4[0]", node_id: "4", output: "[]" });
    expect(byPath.get("4[1]")).toEqual({
      ...shared,
      path: "4[1]",
      node_id: "4",
      output: "[[10],[20,30]]",
      iterations: 5,
    });
    expect(byPath.get("4[1]/7[1]")).toMatchObject({ node_id: "7", output: "[20,30]", iterations: 2 });
    expect(byPath.get("4[1]/7[1]/8[0]")).toEqual({ ...shared, path: "4[1]/7[1]/8[0]", node_id: "8", output: "20" });
    expect(byPath.get("4[1]/7[1]/8[0]/9")).toMatchObject({ node_id: "9", output: "20" });
  });

  test("have one limit for all iterations of the execution together", async () => {
    const passing = await run(nodes, own, { body: { items }, limits: { groupIterationsMax: 11 } });
    expect(passing.outcome.state).toBe("COMPLETED");
    const { outcome, records } = await run(nodes, own, { body: { items }, limits: { groupIterationsMax: 10 } });
    expect(outcome).toMatchObject({ state: "ERRORED", error: { reason: "GROUP_ITERATIONS_FAILED", node_id: "4" } });
    const tooLarge = records.filter((record) => record.error?.reason === "GROUP_TOO_LARGE" && record.node_id === "8");
    expect(tooLarge.map(({ path }) => path)).toEqual(["4[2]/7[1]/8"]);
    expect(tooLarge[0]?.error?.message).toBe(
      "The execution would have 11 iterations, but it runs at most 10 (limit groupIterationsMax).",
    );
  });

  test("count what was recorded before a break", async () => {
    const { records } = await run(nodes, own, { body: { items }, limits: { groupIterationsMax: 10 } });
    for (let kept = 0; kept <= records.length; kept += 1) {
      const earlier = records.slice(0, kept);
      const again = await run(nodes, own, { body: { items }, limits: { groupIterationsMax: 10 }, earlier });
      expect(again.outcome.error?.message, `${kept} records kept`).toMatch(/11 iterations, but it runs at most 10/);
    }
  });
});
