import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { defaultLimits } from "../../src/domain/limits.ts";
import { retrySeed } from "../../src/engine/seeds/seed-from-retry.ts";
import { type Case, checkProblems, only, response, transform } from "./definitions.ts";
import { begin, compile, ended, type NodeJson, type RunOptions, run, settle, start } from "./workflow.ts";

const port = { settings: { on_error: "PORT" } };
const failing = (id: string, more: JsonObject = port): NodeJson => transform(id, `$error('${id}')`, more);
const told = response("e", '["{{node.bad.state}}", "{{node.bad.error.reason}}", "{{node.bad.error.message}}"]');
const reason = ["ERRORED", "EXPRESSION_ERROR", expect.stringContaining("bad")];
const note = 'The node failed, and its branch went on at the port "error".';

type Workflow = Pick<RunOptions, "body" | "limits"> & {
  readonly nodes: readonly NodeJson[];
  readonly edges: readonly string[];
};
type PortCase = readonly [
  name: string,
  workflow: Workflow,
  response: unknown,
  states: Readonly<Record<string, string>>,
];

const inGroup = { group_id: "g" };
const group = (output: string, more: JsonObject = {}): NodeJson => ({
  id: "g",
  group: { array: "{{event.body.rows}}", output, concurrency: 1 },
  ...more,
});

const cases: readonly PortCase[] = [
  [
    "its branch goes on there alone, and the execution is COMPLETED",
    { nodes: [start, failing("bad"), response("n"), told], edges: ["start > bad", "bad > n", "bad error > e"] },
    reason,
    { start: "SUCCESS", bad: "ERRORED", e: "SUCCESS" },
  ],
  [
    "without an edge the branch ends, and the others go on",
    {
      nodes: [start, failing("bad"), transform("z"), transform("a", '"a"'), response("r", "{{node.a.body}}")],
      edges: ["start > bad", "bad > z", "start > a", "a > r"],
    },
    "a",
    { start: "SUCCESS", bad: "ERRORED", a: "SUCCESS", r: "SUCCESS" },
  ],
  [
    "a node that did not fail leaves by its own port",
    {
      nodes: [start, transform("ok", '"b"', port), response("n", "{{node.ok.body}}"), response("e")],
      edges: ["start > ok", "ok > n", "ok error > e"],
    },
    "b",
    { start: "SUCCESS", ok: "SUCCESS", n: "SUCCESS" },
  ],
  [
    "both ways may meet, and a Merge does not count the failure as one",
    {
      nodes: [
        start,
        failing("bad"),
        transform("a"),
        transform("z"),
        { id: "m", merge: { on_missing: "FAIL" } },
        response("r", "{{node.m.body.arrived}}"),
      ],
      edges: ["start > bad", "bad > a", "bad error > z", "a > m", "z > m", "m > r"],
    },
    ["z"],
    { start: "SUCCESS", bad: "ERRORED", z: "SUCCESS", m: "SUCCESS", r: "SUCCESS" },
  ],
  [
    "in a Group the iteration goes on",
    {
      nodes: [
        start,
        group('["{{node.ok.body}}", "{{node.bad.state}}"]'),
        failing("bad", { ...port, ...inGroup }),
        transform("ok", '"caught"', inGroup),
        response("r", "{{node.g.body}}"),
      ],
      edges: ["start > g", "g each > bad", "bad error > ok", "g > r"],
      body: { rows: [1, 2] },
    },
    [
      ["caught", "ERRORED"],
      ["caught", "ERRORED"],
    ],
    expect.objectContaining({ "g[0]": "SUCCESS", "g[1]/bad": "ERRORED", "g[1]/ok": "SUCCESS", g: "SUCCESS" }),
  ],
  [
    "a Group that failed",
    {
      nodes: [
        start,
        group("1", port),
        failing("bad", inGroup),
        response("e", '["{{node.g.error.reason}}", "{{node.g.errors}}"]'),
      ],
      edges: ["start > g", "g each > bad", "g error > e"],
      body: { rows: [1] },
    },
    ["GROUP_ITERATIONS_FAILED", [expect.objectContaining({ index: 0, reason: "EXPRESSION_ERROR" })]],
    expect.objectContaining({ g: "ERRORED", "g[0]": "ERRORED", e: "SUCCESS" }),
  ],
  [
    "a Switch whose output is too large",
    {
      nodes: [
        start,
        { id: "bad", switch: { value: "{{event.body.text}}", cases: [{ port: "a", value: "a" }] }, ...port },
        response("n"),
        response("e", '"{{node.bad.error.reason}}"'),
      ],
      edges: ["start > bad", "bad a > n", "bad default > n", "bad error > e"],
      body: { text: "x".repeat(1_000) },
      limits: { output: { ...defaultLimits.output, bytesMax: 900 } },
    },
    "OUTPUT_TOO_LARGE",
    { start: "SUCCESS", bad: "ERRORED", e: "SUCCESS" },
  ],
];

describe("a node that fails goes on at its error port", () => {
  test.each(cases)("%s", async (_, { nodes, edges, ...options }, answer, states) => {
    const { outcome, response: value, states: found } = await run(nodes, edges, options);
    expect([outcome.state, outcome.error, value]).toEqual(["COMPLETED", undefined, answer]);
    expect(found).toEqual(states);
  });

  test.each(cases)(
    "a run that goes on after any break comes to the same end: %s",
    async (_, { nodes, edges, ...options }) => {
      const whole = await run(nodes, edges, options);
      for (let kept = 0; kept <= whole.records.length; kept += 1) {
        const again = await run(nodes, edges, { ...options, earlier: whole.records.slice(0, kept) });
        expect(again.outcome, `${kept} records kept`).toEqual(whole.outcome);
        expect(again.records.map(({ path }) => path)).toEqual(whole.records.slice(kept).map(({ path }) => path));
      }
    },
  );

  test("its record says so", async () => {
    const [[, { nodes, edges }] = [cases[0]?.[0], { nodes: [], edges: [] }]] = cases as readonly PortCase[];
    const { records } = await run(nodes, edges);
    expect(records.find(({ path }) => path === "bad")).toMatchObject({
      state: "ERRORED",
      port: "error",
      notes: [note],
    });
  });

  test("a failure of another node ends the execution all the same", async () => {
    const nodes = [start, failing("bad"), failing("worse", {})];
    const { outcome } = await run(nodes, ["start > bad", "bad error > worse"]);
    expect(outcome).toMatchObject({ state: "ERRORED", error: { node_id: "worse" } });
  });

  test.each(["SUCCESS", "ERROR"])("a Terminate with %s ends the execution, whatever its setting", async (result) => {
    const { graph, warnings } = compile([start, { id: "t", terminate: { result }, ...port }], ["start > t"]);
    expect([graph !== undefined, warnings.map(({ reason: one }) => one)]).toEqual([true, ["SETTING_IGNORED"]]);
    const { outcome } = await run([start, { id: "t", terminate: { result }, ...port }], ["start > t"]);
    expect(outcome.state).toBe(result === "ERROR" ? "ERRORED" : "COMPLETED");
  });

  test("the limit of the records ends the execution", async () => {
    const nodes = [start, transform("a", '$pad("x", 4000)', port), response("e", "1")];
    const { outcome } = await run(nodes, ["start > a", "a error > e"], { limits: { recordsBytesMax: 2_000 } });
    expect(outcome).toMatchObject({ state: "ERRORED", error: { reason: "RECORDS_TOO_LARGE" } });
  });
});

describe("retries", () => {
  const retry = { max_attempts: 3, delay_ms: 100 };
  const nodes = (settings: JsonObject) => [
    start,
    failing("bad", { settings: { retry, ...settings } }),
    response("e", "1"),
  ];

  test.each([
    ["PORT", 3],
    ["SKIP", 1],
    ["FAIL", 3],
  ])("%s in a synchronous execution: %i attempts", async (on_error, attempts) => {
    const edges = on_error === "PORT" ? ["start > bad", "bad error > e"] : ["start > bad"];
    const { outcome, clock, journal } = begin(nodes({ on_error }), edges, { type: "SYNC" } satisfies RunOptions);
    let isOver = false;
    const end = outcome.finally(() => {
      isOver = true;
    });
    for (; !isOver; clock.advance(100)) {
      await settle();
    }
    const { records } = ended(await end, journal);
    expect(records.find(({ path }) => path === "bad")?.attempts).toBe(attempts);
  });

  test("of another node take over what went on at the port; of the node run it again, and what is behind it", async () => {
    const workflow = [start, failing("bad"), transform("e"), transform("n"), failing("worse", {})];
    const edges = ["start > bad", "bad > n", "bad error > e", "e > worse"];
    const { records } = await run(workflow, edges);
    const { graph } = compile(workflow, edges);
    const kept = (path: string) => {
      const seed = graph && retrySeed(graph, path);
      for (const one of records) {
        seed?.see(one);
      }
      return records.filter((one) => seed?.keeps(one)).map((one) => one.path);
    };
    expect(kept("worse")).toEqual(["start", "bad", "e"]);
    expect(kept("bad")).toEqual(["start"]);
  });
});

describe("settings and edges that do not fit are told", () => {
  const wrong = (settings: JsonObject) => only(transform("t", "1", { settings }));
  const reads = (from: string) => ({
    nodes: [
      start,
      transform("bad", "1", port),
      transform("a", "1"),
      transform("z", "1"),
      response("r", `"{{node.${from}.body}}"`),
    ],
  });
  const contradictory = "ON_ERROR_CONTRADICTORY t settings.on_error";
  const errors: readonly Case[] = [
    ["PORT and a skip", wrong({ on_error: "PORT", skip_on_error: true }), contradictory],
    ["FAIL and a skip", wrong({ on_error: "FAIL", skip_on_error: true }), contradictory],
    ["SKIP and no skip", wrong({ on_error: "SKIP", skip_on_error: false }), contradictory],
    ["SKIP and a skip", wrong({ on_error: "SKIP", skip_on_error: true })],
    ["PORT and no skip", wrong({ on_error: "PORT", skip_on_error: false })],
    [
      "an edge from a port that the node has not",
      { nodes: [start, transform("t"), response("r")], edges: ["start > t", "t error > r"] },
      "PORT_UNKNOWN - edges[1].port",
    ],
    [
      "an edge into a Group",
      {
        nodes: [start, transform("t", "1", port), group("1"), transform("i", "1", inGroup)],
        edges: ["start > t", "t > g", "g each > i", "t error > i"],
      },
      "EDGE_CROSSES_GROUP - edges[3]",
    ],
  ];
  test.each(errors.map(([name, definition, ...problems]) => ({ name, definition, problems })))(
    "$name",
    ({ definition, problems }) => checkProblems(definition, { errors: problems }),
  );

  const mayBeNull = ["TEMPLATE_MAY_BE_NULL r response.data"];
  test.each([
    ["behind the node", "bad", ["start > bad", "bad > r"], []],
    ["behind its error port", "bad", ["start > bad", "bad error > r"], mayBeNull],
    ["where both ways meet", "bad", ["start > bad", "bad > a", "bad error > z", "a > r", "z > r"], mayBeNull],
    ["one of the ways", "a", ["start > bad", "bad > a", "bad error > z", "a > r", "z > r"], mayBeNull],
    ["where another branch comes alone", "bad", ["start > bad", "start > a", "bad > r", "a > r"], mayBeNull],
    ["the other branch", "a", ["start > bad", "start > a", "bad > r", "a > r"], []],
  ])("a template that reads the output: %s", (_, from, edges, warnings) => {
    const { warnings: found } = compile(reads(from).nodes, edges);
    expect(
      found
        .filter(({ reason: one }) => one !== "NODE_UNREACHABLE")
        .map(({ reason: one, nodeId, field }) => `${one} ${nodeId} ${field}`),
    ).toEqual(warnings);
  });

  test("a Start's port is told to have no effect", () =>
    checkProblems(
      { nodes: [{ ...start, ...port } as NodeJson], edges: [] },
      { warnings: ["SETTING_IGNORED start settings.on_error"] },
    ));
});
