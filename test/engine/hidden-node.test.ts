import { describe, expect, test } from "vitest";
import { checkProblems, transform } from "./definitions.ts";
import { type NodeJson, type RunOptions, run, start } from "./workflow.ts";

const hidden = { settings: { hide_node_request: true } };
const failing = (id: string, more = {}): NodeJson => transform(id, "$error('a secret')", { ...hidden, ...more });

/** Expects that nothing but the record of the hidden node itself tells its message, now and when the run is replayed. */
async function check(nodes: readonly NodeJson[], edges: readonly string[], error: object, options: RunOptions = {}) {
  const { outcome, records } = await run(nodes, edges, options);
  expect(outcome).toMatchObject({ error });
  const telling = records.filter((record) => JSON.stringify(record).includes("a secret"));
  expect(telling.map(({ node_id, path }) => [node_id, path.endsWith("]")])).toEqual([["bad", false]]);
  for (let kept = 0; kept <= records.length; kept += 1) {
    const again = await run(nodes, edges, { ...options, earlier: records.slice(0, kept) });
    expect(again.outcome).toEqual(outcome);
  }
  expect(JSON.stringify(outcome)).not.toContain("a secret");
}

describe("the message of a hidden node is told nowhere but in its own record", () => {
  test.each(["STOP_BRANCHES", "FINISH_BRANCHES"] as const)("with on_failure %s", (onFailure) => {
    const error = { reason: "EXPRESSION_ERROR", message: "[REDACTED]", node_id: "bad" };
    return check([start, failing("bad")], ["start > bad"], error, { onFailure });
  });

  test("where it is a Terminate", () => {
    const bad = { id: "bad", terminate: { result: "ERROR", message: "a secret" }, ...hidden };
    return check([start, bad], ["start > bad"], { reason: "TERMINATED", message: "[REDACTED]", node_id: "bad" });
  });

  test("where it is in a Group in a Group", () => {
    const nodes = [
      start,
      { id: "g", group: { count: "1" } },
      { id: "h", group_id: "g", group: { count: "1" } },
      failing("bad", { group_id: "h" }),
    ];
    const message = expect.stringMatching(/"h": .*"bad": \[REDACTED\]$/);
    return check(nodes, ["start > g", "g each > h", "h each > bad"], { node_id: "g", message });
  });

  test("where a Group lets it pass", async () => {
    const nodes = [
      start,
      { id: "g", group: { count: "2", allow_partial_success: true } },
      failing("bad", {
        group_id: "g",
        transform: { query: "{{node.g.body.iteration_count}} = 1 ? $error('a secret') : 1" },
      }),
    ];
    const { outcome, records } = await run(nodes, ["start > g", "g each > bad"]);
    expect(outcome.state).toBe("COMPLETED");
    const others = records.filter(({ node_id }) => node_id !== "bad");
    expect(JSON.stringify(others)).toContain("[REDACTED]");
    expect(JSON.stringify(others)).not.toContain("a secret");
  });

  test("where it is a Group whose own output fails, and lets it pass", async () => {
    const group = { array: "{{event.body.rows}}", output: "{{node.g.body.array_item}}", allow_partial_success: true };
    const nodes = [start, { id: "g", group, ...hidden }, transform("x", "1", { group_id: "g" })];
    const limits = { output: { bytesMax: 30, valuesMax: 10, depthMax: 3, keysMax: 10 } };
    const body = { rows: ["x".repeat(40), "y"] };
    const { outcome, records } = await run(nodes, ["start > g", "g each > x"], { limits, body });
    const notes = records.find(({ path }) => path === "g")?.notes;
    expect([outcome.state, notes]).toEqual(["COMPLETED", [expect.stringMatching(/"g": \[REDACTED\]$/)]]);
  });
});

describe("paths of encrypted output fields", () => {
  const http = { id: "n", http: { method: "GET", url: "https://api.example.com" } };
  const field = "n settings.encrypted_output_fields";

  test.each([
    [transform("n"), "", true],
    [transform("n"), "a..b", true],
    [transform("n"), "a.", true],
    [transform("n"), "result.*.skill", false],
    [transform("n"), "result[0]['a.b']['*']", false],
    [transform("n"), "result['a", true],
    [http, "result", true],
    [http, "bodyguard", true],
    [http, "headers.Set-Cookie", true],
    [http, "headers.set-cookie", false],
    [http, "headers['set-cookie'][0]", false],
    [http, "headers['Set-Cookie']", true],
    [http, "headers.etag.x", true],
    [http, "body['a.b']", false],
    [http, "['*']", true],
    [http, "body.result.*.skill", false],
    [http, "body", false],
    [http, "*", false],
  ])("are checked: %o %s", (node, path, isRefused) => {
    const nodes = [start, { ...node, settings: { encrypted_output_fields: [path] } }];
    const edges = ["start > n"];
    checkProblems({ nodes, edges }, { errors: isRefused ? [`OUTPUT_PATH_INVALID ${field}`] : [] });
  });

  test("are of no use to a Start node, whose output is the payload", () => {
    for (const settings of [{ encrypted_output_fields: ["a"] }, { hide_node_request: true }]) {
      checkProblems({ nodes: [{ ...start, settings }] }, { warnings: ["SETTING_IGNORED start settings"] });
    }
  });
});
