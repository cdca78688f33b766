import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import type { NodeRun } from "../../src/domain/execution.ts";
import { retrySeed } from "../../src/engine/seeds/seed-from-retry.ts";
import { ReplayIndex } from "../../src/scheduler/run/replay-index.ts";
import { type Case, checkProblems, response, transform } from "./definitions.ts";
import { begin, compile, type Ended, ended, type NodeJson, type RunOptions, run, settle, start } from "./workflow.ts";

const inside = { group_id: "c" };
const container = (more: JsonObject = {}, rest: JsonObject = {}): NodeJson => ({ id: "c", try_catch: more, ...rest });
const pure = (id: string, query = `"${id}"`, more: JsonObject = inside): NodeJson => transform(id, query, more);
const failing = (id: string, more: JsonObject = inside): NodeJson => pure(id, `$error('${id}')`, more);
const delay = (id: string, seconds: string): NodeJson => ({ id, delay: { seconds }, ...inside });
const answer = response("r", '"{{node.c.body}}"');
const settings = (more: JsonObject) => ({ settings: more });

type Workflow = RunOptions & { readonly nodes: readonly NodeJson[]; readonly edges: readonly string[] };

/** Runs to the end, and moves the clock whenever nothing goes on without it. */
async function finish({ nodes, edges, ...options }: Workflow, earlier?: readonly NodeRun[]): Promise<Ended> {
  const { outcome, clock, journal } = begin(nodes, edges, { ...options, ...(earlier && { earlier }) });
  let isOver = false;
  const end = outcome.finally(() => {
    isOver = true;
  });
  for (; !isOver; clock.advance(500)) {
    await settle();
  }
  return ended(await end, journal);
}

/** Expects the same end of a run that goes on from any part of the records, and that no recorded node runs again. */
async function checkBreaks(workflow: Workflow, whole: Ended): Promise<void> {
  for (let kept = 0; kept <= whole.records.length; kept += 1) {
    const earlier = whole.records.slice(0, kept);
    const again = await finish(workflow, earlier);
    expect(again.outcome, `${kept} records kept`).toEqual(whole.outcome);
    const known = new Set(earlier.map(({ path }) => path));
    expect(again.records.map(({ path }) => path).filter((path) => known.has(path))).toEqual([]);
    const stateOf = ({ path, state }: NodeRun) => `${path} ${state}`;
    const isDone = (one: NodeRun) => one.state !== "STOPPED";
    const all = [...earlier, ...again.records].filter(isDone).map(stateOf).toSorted();
    expect(all).toEqual(whole.records.filter(isDone).map(stateOf).toSorted());
  }
}

const ok = "SUCCESS";
const caughtBody = (node_id: string, output: JsonValue = null) => ({
  try_catch_result: true,
  message: "Catch flow completed successfully",
  failed_node_id: node_id,
  error_message: {
    message: expect.stringContaining(node_id),
    error: [{ errorCode: "EXPRESSION_ERROR", message: expect.stringContaining(node_id) }],
  },
  error: expect.objectContaining({ reason: "EXPRESSION_ERROR", node_id, status: null, body: null }),
  output,
});
const triedBody = (output: JsonValue = null) => ({
  try_catch_result: true,
  message: "Try-catch block completed successfully",
  failed_node_id: null,
  error_message: null,
  error: null,
  output,
});

type RunCase = readonly [name: string, workflow: Workflow, outcome: object, states: Readonly<Record<string, string>>];
const answered = (body: object) => ({ state: "COMPLETED", response: body });

const cases: readonly RunCase[] = [
  [
    "what does not fail gives the output, and the catch does not run",
    {
      nodes: [start, container({ output: '{"a": "{{node.a.body}}"}' }), pure("a"), pure("h"), answer],
      edges: ["start > c", "c try > a", "c catch > h", "c > r"],
    },
    answered(triedBody({ a: "a" })),
    { start: ok, "c[0]/a": ok, c: ok, r: ok },
  ],
  [
    "a failure is caught; the catch reads it, a node that ran and one that did not",
    {
      nodes: [
        start,
        container({ catch_output: '["{{node.h.body}}", "{{node.a.body}}", "{{node.z.body}}"]' }),
        pure("a"),
        failing("bad"),
        pure("z"),
        pure(
          "h",
          "{{node.c.body.error.node_id}} & $string({{node.c.body.try_catch_result}}) & {{node.bad.error.reason}}",
        ),
        answer,
      ],
      edges: ["start > c", "c try > a", "a > bad", "bad > z", "c catch > h", "c > r"],
    },
    answered(caughtBody("bad", ["badfalseEXPRESSION_ERROR", "a", null])),
    { start: ok, "c[0]/a": ok, "c[0]/bad": "ERRORED", "c#caught": "ERRORED", "c[0]/h": ok, c: ok, r: ok },
  ],
  [
    "the first failure stops what runs beside it, whatever on_failure says",
    {
      nodes: [start, container(), delay("d", "60"), pure("after"), failing("bad"), pure("h"), answer],
      edges: ["start > c", "c try > d", "d > after", "c try > bad", "c catch > h", "c > r"],
      onFailure: "FINISH_BRANCHES",
    },
    answered(caughtBody("bad")),
    { start: ok, "c[0]/bad": "ERRORED", "c[0]/d": "STOPPED", "c#caught": "ERRORED", "c[0]/h": ok, c: ok, r: ok },
  ],
  [
    "a failing catch fails the node with its own error, and the cause",
    {
      nodes: [start, container(), failing("bad"), failing("worse"), answer],
      edges: ["start > c", "c try > bad", "c catch > worse", "c > r"],
    },
    {
      state: "ERRORED",
      error: { reason: "EXPRESSION_ERROR", node_id: "worse", cause: { reason: "EXPRESSION_ERROR", node_id: "bad" } },
    },
    { start: ok, "c[0]/bad": "ERRORED", "c#caught": "ERRORED", "c[0]/worse": "ERRORED", c: "ERRORED" },
  ],
  [
    "a reason that is not caught fails the node with it",
    {
      nodes: [
        start,
        container({ catch_reasons: ["HTTP_STATUS:5xx", "NODE_TIMED_OUT"] }),
        failing("bad"),
        pure("h"),
        answer,
      ],
      edges: ["start > c", "c try > bad", "c catch > h", "c > r"],
    },
    { state: "ERRORED", error: { reason: "EXPRESSION_ERROR", node_id: "bad" } },
    { start: ok, "c[0]/bad": "ERRORED", c: "ERRORED" },
  ],
  [
    "an error port inside of it wins",
    {
      nodes: [
        start,
        container({ output: "{{node.p.body}}" }),
        failing("bad", { ...inside, ...settings({ on_error: "PORT" }) }),
        pure("p"),
        pure("h"),
        answer,
      ],
      edges: ["start > c", "c try > bad", "bad error > p", "c catch > h", "c > r"],
    },
    answered(triedBody("p")),
    { start: ok, "c[0]/bad": "ERRORED", "c[0]/p": ok, c: ok, r: ok },
  ],
  [
    "it has an error port of its own",
    {
      nodes: [
        start,
        container({}, settings({ on_error: "PORT" })),
        failing("bad"),
        failing("worse"),
        response("r", '"{{node.c.error.node_id}}"'),
      ],
      edges: ["start > c", "c try > bad", "c catch > worse", "c error > r"],
    },
    { state: "COMPLETED", response: "worse" },
    { start: ok, "c[0]/bad": "ERRORED", "c#caught": "ERRORED", "c[0]/worse": "ERRORED", c: "ERRORED", r: ok },
  ],
  [
    "its retry policy repeats the try before the catch",
    {
      nodes: [
        start,
        container({}, settings({ retry: { max_attempts: 3, delay_ms: 700 } })),
        pure("a"),
        failing("bad"),
        pure("h"),
        answer,
      ],
      edges: ["start > c", "c try > a", "a > bad", "c catch > h", "c > r"],
    },
    answered(caughtBody("bad")),
    {
      start: ok,
      ...Object.fromEntries(
        [0, 1, 2].flatMap((at) => [
          [`c[${at}]/a`, ok],
          [`c[${at}]/bad`, "ERRORED"],
        ]),
      ),
      "c#1": "ERRORED",
      "c#2": "ERRORED",
      "c#caught": "ERRORED",
      "c[2]/h": ok,
      c: ok,
      r: ok,
    },
  ],
  [
    "its time-out is caught, and stops the nodes",
    {
      nodes: [start, container({}, settings({ timeout_ms: 1_000 })), delay("d", "60"), pure("h"), answer],
      edges: ["start > c", "c try > d", "c catch > h", "c > r"],
    },
    {
      state: "COMPLETED",
      response: expect.objectContaining({ error: expect.objectContaining({ reason: "NODE_TIMED_OUT", node_id: "c" }) }),
    },
    { start: ok, "c#caught": "TIMED_OUT", "c[0]/d": "STOPPED", "c[0]/h": ok, c: ok, r: ok },
  ],
  [
    "a time-out that is not reached changes nothing",
    {
      nodes: [start, container({}, settings({ timeout_ms: 60_000 })), delay("d", "1"), pure("h"), answer],
      edges: ["start > c", "c try > d", "c catch > h", "c > r"],
    },
    answered(triedBody()),
    { start: ok, "c[0]/d": ok, c: ok, r: ok },
  ],
  [
    "a Terminate inside ends the execution, and is not caught",
    {
      nodes: [
        start,
        container(),
        { id: "t", terminate: { result: "ERROR", message: "no" }, ...inside },
        pure("h"),
        answer,
      ],
      edges: ["start > c", "c try > t", "c catch > h", "c > r"],
    },
    { state: "ERRORED", error: { reason: "TERMINATED" } },
    { start: ok, "c[0]/t": "ERRORED", c: "STOPPED" },
  ],
  [
    "a Terminate behind the catch too",
    {
      nodes: [start, container(), failing("bad"), { id: "t", terminate: { result: "SUCCESS" }, ...inside }, answer],
      edges: ["start > c", "c try > bad", "c catch > t", "c > r"],
    },
    { state: "COMPLETED" },
    { start: ok, "c[0]/bad": "ERRORED", "c#caught": "ERRORED", "c[0]/t": ok, c: "STOPPED" },
  ],
  [
    "a Response behind the catch answers, and one after it is skipped",
    {
      nodes: [
        start,
        container(),
        failing("bad"),
        { ...response("h", '"caught"', { status_code: 402 }), ...inside },
        answer,
      ],
      edges: ["start > c", "c try > bad", "c catch > h", "c > r"],
    },
    { state: "COMPLETED", response: "caught", statusCode: 402 },
    { start: ok, "c[0]/bad": "ERRORED", "c#caught": "ERRORED", "c[0]/h": ok, c: ok, r: "SKIPPED" },
  ],
  [
    "a Group inside, whose failure is caught",
    {
      nodes: [
        start,
        container(),
        { id: "g", group: { array: "{{event.body.rows}}", concurrency: 1 }, ...inside },
        failing("bad", { group_id: "g" }),
        pure("h", "{{node.c.body.error.reason}}"),
        response("r", '"{{node.c.body.failed_node_id}}"'),
      ],
      edges: ["start > c", "c try > g", "g each > bad", "c catch > h", "c > r"],
      body: { rows: [1, 2] },
    },
    { state: "COMPLETED", response: "g" },
    {
      start: ok,
      "c[0]/g[0]/bad": "ERRORED",
      "c[0]/g[0]": "ERRORED",
      "c[0]/g": "ERRORED",
      "c#caught": "ERRORED",
      "c[0]/h": ok,
      c: ok,
      r: ok,
    },
  ],
  [
    "one inside of another, in a Group: the inner one's failing catch is caught outside",
    {
      nodes: [
        start,
        { id: "g", group: { array: "{{event.body.rows}}", concurrency: 1, output: "{{node.c.body.failed_node_id}}" } },
        container({}, { group_id: "g" }),
        { id: "i", try_catch: {}, ...inside },
        failing("bad", { group_id: "i" }),
        failing("worse", { group_id: "i" }),
        pure("h"),
        response("r", "{{node.g.body}}"),
      ],
      edges: ["start > g", "g each > c", "c try > i", "i try > bad", "i catch > worse", "c catch > h", "g > r"],
      body: { rows: [1, 2] },
    },
    { state: "COMPLETED", response: ["worse", "worse"] },
    expect.objectContaining({
      "g[1]/c[0]/i[0]/bad": "ERRORED",
      "g[1]/c[0]/i#caught": "ERRORED",
      "g[1]/c[0]/i[0]/worse": "ERRORED",
      "g[1]/c[0]/i": "ERRORED",
      "g[1]/c#caught": "ERRORED",
      "g[1]/c[0]/h": ok,
      "g[1]/c": ok,
      g: ok,
    }),
  ],
  [
    "skip_on_error is the last net, and makes a synchronous execution try once",
    {
      nodes: [
        start,
        container({}, settings({ skip_on_error: true, retry: { max_attempts: 3, delay_ms: 10 } })),
        failing("bad"),
        failing("worse"),
        answer,
      ],
      edges: ["start > c", "c try > bad", "c catch > worse", "c > r"],
      type: "SYNC",
    },
    { state: "COMPLETED", response: null },
    {
      start: ok,
      "c[0]/bad": "ERRORED",
      "c#caught": "ERRORED",
      "c[0]/worse": "ERRORED",
      c: "ERRORED_AND_SKIPPED",
      r: ok,
    },
  ],
];

describe("a Try & Catch", () => {
  test.each(cases)("%s", async (_, workflow, outcome, states) => {
    const whole = await finish(workflow);
    const shown = { ...whole.outcome, ...("response" in outcome && { response: whole.response }) };
    expect(shown).toMatchObject(outcome);
    expect(whole.states).toEqual(states);
    await checkBreaks(workflow, whole);
  });

  test("says in the record of the node that failed where the failure went", async () => {
    const [, [, workflow] = []] = cases;
    const { records } = await finish(workflow ?? { nodes: [], edges: [] });
    expect(records.find(({ path }) => path === "c[0]/bad")?.notes).toEqual(["Caught by c."]);
  });

  test("two branches that fail at once give one error, and a replay the one that was recorded first", async () => {
    const nodes = [start, container(), failing("x"), failing("y"), pure("h"), answer];
    const edges = ["start > c", "c try > x", "c try > y", "c catch > h", "c > r"];
    const first = await run(nodes, edges);
    expect(first.states).toMatchObject({ "c[0]/x": "ERRORED", "c[0]/y": "STOPPED" });
    const failed = (node_id: string): NodeRun => ({
      ...{ path: `c[0]/${node_id}`, node_id, state: "ERRORED", attempts: 1, start_time: 0, end_time: 0 },
      error: { reason: "R", message: "m", node_id },
    });
    const again = await run(nodes, edges, { earlier: [failed("y"), failed("x")] });
    expect(Object(again.response).failed_node_id).toBe("y");
  });

  test("the caught failure is committed before the catch begins, and the catch does not begin without", async () => {
    const nodes = [start, container(), failing("bad"), pure("h"), answer];
    const edges = ["start > c", "c try > bad", "c catch > h", "c > r"];
    const seen: string[][] = [];
    const { outcome, journal } = begin(nodes, edges, {
      beforeEffect: async () => void seen.push(journal.records.map(({ path }) => path)),
    });
    await outcome;
    expect(seen).toEqual([["start", "c[0]/bad", "c#caught"]]);
    const broken = begin(nodes, edges, { beforeEffect: () => Promise.reject(new Error("no database")) });
    await expect(broken.outcome).rejects.toThrow("no database");
    expect(broken.journal.records.map(({ path }) => path)).not.toContain("c[0]/h");
  });

  test("the limit of the records ends the execution", async () => {
    const nodes = [start, container(), pure("a", '$pad("x", 4000)'), pure("h"), answer];
    const { outcome } = await run(nodes, ["start > c", "c try > a", "c catch > h", "c > r"], {
      limits: { recordsBytesMax: 2_000 },
    });
    expect(outcome).toMatchObject({ state: "ERRORED", error: { reason: "RECORDS_TOO_LARGE" } });
  });

  test("a stop from outside leaves no record, and the run goes on", async () => {
    const nodes = [start, container(), failing("bad"), delay("d", "60"), answer];
    const edges = ["start > c", "c try > bad", "c catch > d", "c > r"];
    const { outcome, journal, stop } = begin(nodes, edges);
    await settle();
    stop.abort(new Error("let go"));
    await expect(outcome).rejects.toThrow("let go");
    expect(journal.records.map(({ path }) => path)).toEqual(["start", "c[0]/bad", "c#caught"]);
    const again = await finish({ nodes, edges }, journal.records);
    expect(again.states).toEqual({ "c[0]/d": ok, c: ok, r: ok });
  });
});

describe("a retry of a node", () => {
  const edges = ["start > c", "c try > a", "a > bad", "c catch > h", "h > worse", "c > z"];
  const retry = settings({ retry: { max_attempts: 2, delay_ms: 0 } });
  const nodes = [
    start,
    container({}, retry),
    pure("a"),
    failing("bad"),
    pure("h"),
    failing("worse"),
    pure("z", "1", {}),
  ];

  test.each(["c", "c[1]/worse", "c[0]/bad"])(
    "%s: the results of the first try are taken over, and no others",
    async (path) => {
      const { records } = await finish({ nodes, edges });
      const { graph } = compile(nodes, edges);
      const seed = graph && retrySeed(graph, path);
      for (const one of records) {
        seed?.see(one);
      }
      expect(records.filter((one) => seed?.keeps(one)).map((one) => one.path)).toEqual(["start", "c[0]/a"]);
    },
  );
});

test("what is inside of one that has ended is no longer held for a replay", async () => {
  const [, [, workflow] = []] = cases;
  const { records } = await finish(workflow ?? { nodes: [], edges: [] });
  const index = new ReplayIndex();
  index.replay(records, 0);
  const held = records.map(({ path }) => path).filter((path) => index.find(path) !== undefined);
  expect(held).toEqual(["start", "c#caught", "c", "r"]);
});

describe("one that cannot work is refused", () => {
  const both = ["start > c", "c try > a", "c catch > h"];
  const nodes = [start, container(), pure("a"), pure("h")];
  const problems: readonly Case[] = [
    ["nothing to try", { nodes, edges: ["start > c", "c catch > h"] }, "TRY_EMPTY c try_catch"],
    ["nothing to catch with", { nodes, edges: ["start > c", "c try > a"] }, "CATCH_EMPTY c try_catch"],
    ["a node on both sides", { nodes, edges: [...both, "a > h"] }, "TRY_CATCH_MIXED h group_id"],
    [
      "a node behind both ports",
      { nodes: [...nodes, pure("m")], edges: [...both, "a > m", "h > m"] },
      "TRY_CATCH_MIXED m group_id",
    ],
    [
      "an edge out of it",
      { nodes: [...nodes, pure("z", "1", {})], edges: [...both, "a > z"] },
      "EDGE_CROSSES_GROUP - edges[3]",
    ],
    ["an edge into it", { nodes, edges: [...both, "start > a"] }, "EDGE_CROSSES_GROUP - edges[3]"],
    [
      "a Start inside",
      { nodes: [{ ...start, ...inside }, container(), pure("a"), pure("h")], edges: both.slice(1) },
      "START_IN_GROUP start group_id",
    ],
    [
      "a Response in a Group inside",
      {
        nodes: [...nodes, { id: "g", group: { count: "2" }, ...inside }, { ...response("x"), group_id: "g" }],
        edges: [...both, "a > g", "g each > x"],
      },
      "RESPONSE_IN_GROUP x group_id",
    ],
    ...["HTTP_STATUS:4", "HTTP_STATUS:600", "http_status", "TERMINATED", "RECORDS_TOO_LARGE", "toString", ""].map(
      (reason) =>
        [
          `the reason "${reason}"`,
          { nodes: [start, container({ catch_reasons: [reason] }), pure("a"), pure("h")], edges: both },
          "CATCH_REASON_UNKNOWN c try_catch.catch_reasons[0]",
        ] as const,
    ),
    [
      "reasons",
      {
        nodes: [
          start,
          container({ catch_reasons: ["HTTP_STATUS", "HTTP_STATUS:404", "HTTP_STATUS:5xx"] }),
          pure("a"),
          pure("h"),
        ],
        edges: both,
      },
    ],
  ];
  test.each(problems.map(([name, definition, ...errors]) => ({ name, definition, errors })))(
    "$name",
    ({ definition, errors }) => {
      const { errors: found } = compile(definition.nodes, definition.edges ?? []);
      expect(found.map(({ reason, nodeId, field }) => `${reason} ${nodeId ?? "-"} ${field}`)).toEqual(errors);
    },
  );

  test("templates are warned of that read what has not run, and what is not there", () => {
    const reads = (id: string, path: string) => pure(id, `{{${path}}}`);
    const check = (a: string, h: string, warnings: string[], output = "null") =>
      checkProblems(
        {
          nodes: [start, container({ output, catch_output: "{{node.h.body}}" }), reads("a", a), reads("h", h)],
          edges: both,
        },
        { warnings },
      );
    check("event.body", "node.c.body.error.status", []);
    check("node.c.body", "node.a.body", [
      "TEMPLATE_MAY_BE_NULL a transform.query",
      "TEMPLATE_MAY_BE_NULL h transform.query",
    ]);
    check("event.body", "node.c.body.nope", ["TEMPLATE_NEVER_RESOLVES h transform.query"]);
    check("event.body", "event.body", ["TEMPLATE_MAY_BE_NULL c try_catch.output"], "{{node.h.body}}");
  });
});
