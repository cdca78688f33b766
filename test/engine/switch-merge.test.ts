import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { defaultLimits } from "../../src/domain/limits.ts";
import { givenSeed } from "../../src/engine/seeds/seed-from-outputs.ts";
import { type Case, checkProblems, only, response, rule, transform } from "./definitions.ts";
import { compile, type NodeJson, run, start } from "./workflow.ts";

const when = (left: string, operator: string, right: string) => ({ comparisons: [{ left, operator, right }] });
const choose = (cases: JsonObject[], value = "{{event.body.v}}", more: JsonObject = {}): NodeJson => ({
  id: "s",
  switch: { value, cases },
  ...more,
});

describe("a Switch leaves by the first case that matches", () => {
  const cases = [
    { port: "constructor", value: "a" },
    { port: "five", value: "5" },
    { port: "yes", value: "true" },
    { port: "list", value: '[1,"x"]' },
    { port: "same", value: "{{event.body.other}}" },
    { port: "big", when: when("{{event.body.v}}", "gt", "100") },
  ];
  const ports = [...cases.map(({ port }) => port), "default"];
  const nodes = [start, choose(cases), ...ports.map((port) => response(`r-${port}`, '"{{node.s.body}}"'))];
  const edges = ["start > s", ...ports.map((port) => `s ${port} > r-${port}`)];

  test.each<[JsonObject, string, JsonValue]>([
    [{ v: "a" }, "constructor", "a"],
    [{ v: "A" }, "default", null],
    [{ v: 5 }, "five", "5"],
    [{ v: "5" }, "five", "5"],
    [{ v: true }, "yes", "true"],
    [{ v: [1, "x"] }, "list", '[1,"x"]'],
    [{ v: "o", other: "o" }, "same", "o"],
    [{ v: 101 }, "big", null],
    [{ v: null }, "default", null],
    [{}, "default", null],
    [{ v: "toString" }, "default", null],
  ])("%j: %s", async (body, port, text) => {
    const { response: output, states } = await run(nodes, edges, { body });
    expect(Object.keys(states)).toEqual(["start", "s", `r-${port}`]);
    const matched = port === "default" ? null : { case_value: text, port };
    expect(output).toEqual({ evaluated_value: body["v"] ?? null, matched_case: matched });
  });

  test("a case whose port has no edge ends its branch, and a skipped Switch leaves by default", async () => {
    const open = await run([start, choose(cases), response("r")], ["start > s", "s default > r"], { body: { v: "a" } });
    expect(open.states).toEqual({ start: "SUCCESS", s: "SUCCESS" });
    const skipped = choose(cases, "{{event.body.v}}", { settings: { conditions: when("1", "eq", "2") } });
    const result = await run([start, skipped, response("r")], ["start > s", "s default > r"], { body: { v: "a" } });
    expect(result.states).toEqual({ start: "SUCCESS", s: "SKIPPED", r: "SUCCESS" });
  });

  test("a replay leaves by the recorded port, also in a Group", async () => {
    const inner = [
      choose(cases, "{{node.g.body.array_item}}", { group_id: "g" }),
      transform("t", "1", { group_id: "g" }),
    ];
    const group = { id: "g", group: { array: "{{event.body.v}}", output: '{"t": {{node.t.body}}}' } };
    const whole = [start, group, ...inner, response("r", "{{node.g.body}}")];
    const way = ["start > g", "g each > s", "s five > t", "g > r"];
    const body = { v: ["5", "a", "5"] };
    const first = await run(whole, way, { body });
    expect(first.response).toEqual([{ t: 1 }, { t: null }, { t: 1 }]);
    for (let kept = 0; kept <= first.records.length; kept += 1) {
      const again = await run(whole, way, { body, earlier: first.records.slice(0, kept) });
      expect(again.outcome).toEqual(first.outcome);
    }
  });

  test("a given output says which way, or is refused", () => {
    const { graph } = compile(nodes, edges);
    const given = (output: JsonValue) => () =>
      graph && givenSeed(graph, { s: output }, { limits: defaultLimits, now: 1 });
    expect(given({ matched_case: { port: "five" } })()).toMatchObject([{ port: "five" }]);
    expect(given({ matched_case: null })()).toMatchObject([{ port: "default" }]);
    expect(given({ matched_case: { port: "six" } })).toThrow(/belongs to a switch/);
    expect(given({})).toThrow(/belongs to a switch/);
  });
});

describe("a Switch that cannot work is refused", () => {
  const two = [
    { port: "a", value: "1" },
    { port: "b", value: "2" },
  ];
  const at = (field: string) => `s switch.${field}`;
  const cases: readonly Case[] = [
    ["no case", only(choose([])), `CASES_MISSING ${at("cases")}`],
    ["no value", only(choose(two, "")), `SWITCH_VALUE_MISSING ${at("value")}`],
    ["a case without a match", only(choose([{ port: "a" }])), `CASE_MATCH_MISSING ${at("cases[0]")}`],
    [
      "a case without comparisons",
      only(choose([{ port: "a", when: {} }])),
      `COMPARISONS_MISSING ${at("cases[0].when.comparisons")}`,
    ],
    ...["", "a b", "default", "each", "error", "x".repeat(65)].map(
      (port) =>
        [`the port "${port}"`, only(choose([{ port, value: "1" }])), `PORT_INVALID ${at("cases[0].port")}`] as const,
    ),
    [
      "two ports of one name",
      only(choose([...two, { port: "a", value: "3" }])),
      `PORT_DUPLICATE ${at("cases[2].port")}`,
    ],
    ["an unknown node", only(choose(two, "{{node.x.body}}")), `TEMPLATE_NODE_UNKNOWN ${at("value")}`],
    [
      "an edge of no case",
      { nodes: [start, choose(two), response("r")], edges: ["start > s", "s c > r"] },
      "PORT_UNKNOWN - edges[1].port",
    ],
  ];
  test.each(cases.map(([name, definition, ...errors]) => ({ name, definition, errors })))(
    "$name",
    ({ definition, errors }) => checkProblems(definition, { errors }),
  );

  test("a value that an earlier case has is a warning", () =>
    checkProblems(only(choose([...two, { port: "c", value: "1" }], "{{event.body}}")), {
      warnings: [`CASE_DUPLICATE ${at("cases[2].value")}`],
    }));
});

describe("a Merge says which branches arrived", () => {
  const merge = (on_missing?: string): NodeJson => ({ id: "m", merge: { ...(on_missing && { on_missing }) } });
  const end = response("r", "{{node.m.body.arrived}}");
  const bad = transform("bad", "$error('x')");

  test("in the order of the edges, without those that were not taken", async () => {
    const nodes = [start, rule("q"), transform("a"), transform("b"), transform("c"), merge("FAIL"), end];
    const edges = ["c > m", "start > q", "q true > a", "q false > b", "start > c", "b > m", "a > m", "m > r"];
    expect((await run(nodes, edges, { body: { a: 1 } })).response).toEqual(["c", "a"]);
    expect((await run(nodes, edges)).response).toEqual(["c", "b"]);
  });

  test.each([
    ["GO_ON", { state: "ERRORED", response: '["a"]', error: { reason: "EXPRESSION_ERROR" } }],
    [undefined, { state: "ERRORED", response: '["a"]', error: { reason: "EXPRESSION_ERROR" } }],
    ["FAIL", { state: "ERRORED", error: { reason: "EXPRESSION_ERROR", node_id: "bad" } }],
  ])("%s: a branch that failed, at once or before", async (onMissing, outcome) => {
    const nodes = [start, bad, transform("z"), transform("a"), merge(onMissing), end];
    const edges = ["start > bad", "bad > z", "start > a", "a > m", "z > m", "m > r"];
    const result = await run(nodes, edges, { onFailure: "FINISH_BRANCHES" });
    expect(result.outcome).toMatchObject(outcome);
    const failed = result.records.find(({ path }) => path === "m")?.error;
    expect(failed?.message).toEqual(
      onMissing === "FAIL" ? 'No branch arrived from "z", because a node failed there.' : undefined,
    );
    expect(failed?.reason).toEqual(onMissing === "FAIL" ? "MERGE_INCOMPLETE" : undefined);
    // A replay from any part of it decides the same.
    for (let kept = 0; kept <= result.records.length; kept += 1) {
      const again = await run(nodes, edges, { onFailure: "FINISH_BRANCHES", earlier: result.records.slice(0, kept) });
      expect(again.outcome).toEqual(result.outcome);
    }
  });

  test("a warning where there is nothing to join", () =>
    checkProblems(only(merge()), { warnings: ["MERGE_SINGLE m merge"] }));
});
