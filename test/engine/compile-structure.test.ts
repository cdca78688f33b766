import { describe, expect, test } from "vitest";
import { type Case, checkProblems as check, group, response, rule, transform } from "./definitions.ts";
import { compile, start } from "./workflow.ts";

describe("a graph that does not hold together cannot run, and its author learns where", () => {
  const cases: readonly Case[] = [
    ["no Start", { nodes: [response("a")] }, "START_MISSING - nodes"],
    ["no nodes", { nodes: [] }, "START_MISSING - nodes"],
    ["two Starts", { nodes: [start, { id: "s2", start: {} }] }, "START_DUPLICATE s2 start"],
    ["an empty id", { nodes: [start, transform("")] }, "NODE_ID_INVALID - nodes[1].id"],
    ["an id with a dot", { nodes: [start, transform("a.b")] }, "NODE_ID_INVALID - nodes[1].id"],
    ["a long id", { nodes: [start, transform("x".repeat(65))] }, "NODE_ID_INVALID - nodes[1].id"],
    ["an id twice", { nodes: [start, transform("a"), transform("a")] }, "NODE_ID_DUPLICATE a id"],
    ["no kind", { nodes: [start, { id: "a" }], edges: ["start > a"] }, "NODE_KIND_MISSING a kind"],
    ["too many nodes", { nodes: [start, transform("a")], limits: { graphNodesMax: 1 } }, "GRAPH_TOO_LARGE - nodes"],
    [
      "a circle",
      { nodes: [start, transform("a"), transform("b")], edges: ["start > a", "a > b", "b > a"] },
      "GRAPH_CYCLIC - edges[2]",
    ],
    [
      "a node behind itself",
      { nodes: [start, transform("a")], edges: ["start > a", "a > a"] },
      "GRAPH_CYCLIC - edges[1]",
    ],
    [
      "an edge from and to nowhere",
      { nodes: [start], edges: ["x > y"] },
      "EDGE_NODE_UNKNOWN - edges[0].source",
      "EDGE_NODE_UNKNOWN - edges[0].target",
    ],
    [
      "a port of another kind",
      { nodes: [start, transform("a")], edges: ["start true > a"] },
      "PORT_UNKNOWN - edges[0].port",
    ],
    [
      "a Rule's next",
      { nodes: [start, rule("r"), transform("a")], edges: ["start > r", "r > a"] },
      "PORT_UNKNOWN - edges[1].port",
    ],
    [
      "an edge into Start",
      { nodes: [start, transform("a")], edges: ["start > a", "a > start"] },
      "START_HAS_INPUT - edges[1].target",
      "GRAPH_CYCLIC - edges[1]",
    ],
    ["Start in a Group", { nodes: [{ ...start, group_id: "g" }, group("g")] }, "START_IN_GROUP start group_id"],
    [
      "Response in a Group",
      { nodes: [start, group("g"), { ...response("r"), group_id: "g" }], edges: ["start > g", "g each > r"] },
      "RESPONSE_IN_GROUP r group_id",
    ],
    [
      "a Group that is none",
      { nodes: [start, transform("a", "1", { group_id: "start" })], edges: ["start > a"] },
      "EDGE_CROSSES_GROUP - edges[0]",
      "GROUP_UNKNOWN a group_id",
    ],
    [
      "a Group in itself",
      { nodes: [start, group("g", { group_id: "g" })], edges: ["start > g"] },
      "EDGE_CROSSES_GROUP - edges[0]",
      "GROUP_CYCLIC g group_id",
    ],
    [
      "Groups in each other",
      {
        nodes: [start, group("g", { group_id: "h" }), group("h", { group_id: "g" })],
        edges: ["start > g", "g each > h"],
      },
      "EDGE_CROSSES_GROUP - edges[0]",
      "GROUP_CYCLIC g group_id",
      "GROUP_CYCLIC h group_id",
    ],
    [
      "an edge into a Group from outside",
      { nodes: [start, group("g"), transform("a", "1", { group_id: "g" })], edges: ["start > g", "start > a"] },
      "EDGE_CROSSES_GROUP - edges[1]",
    ],
    [
      "an edge out of a Group",
      {
        nodes: [start, group("g"), transform("a", "1", { group_id: "g" }), transform("b")],
        edges: ["start > g", "g each > a", "a > b"],
      },
      "EDGE_CROSSES_GROUP - edges[2]",
    ],
    [
      "`each` to a node outside",
      { nodes: [start, group("g"), transform("a")], edges: ["start > g", "g each > a"] },
      "EDGE_CROSSES_GROUP - edges[1]",
    ],
  ];
  for (const [name, definition, ...errors] of cases) {
    test(name, () => check(definition, { errors }));
  }
});

test("a graph tells what its callers need to know before a run", () => {
  const sample = { id: "s", start: { api_call: { payload: { a: 1 } } } };
  expect(compile([sample], []).graph).toMatchObject({
    hasApiCallTrigger: true,
    samplePayload: { a: 1 },
  });
  expect(compile([{ id: "s", start: {} }], []).graph).toMatchObject({ hasApiCallTrigger: false, samplePayload: {} });
  expect(compile([start], []).graph).not.toHaveProperty("group");
  expect(compile([start, group("g")], ["start > g"]).graph).toMatchObject({ group: { id: "g" } });
  // One that nothing leads to is contained all the same.
  expect(compile([start, group("g")], []).graph).toMatchObject({ group: { id: "g" } });
});

test("500 nodes that all depend on each other compile, without a way that grows with the number of paths", () => {
  const ids = Array.from({ length: 499 }, (_, index) => `n${index}`);
  const edges = ids.flatMap((id, index) => [
    `start > ${id}`,
    ...ids.slice(index + 1, index + 9).map((next) => `${id} > ${next}`),
  ]);
  check({ nodes: [start, ...ids.map((id) => transform(id))], edges }, {});
});
