import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import type { NodeRun } from "../../src/domain/execution.ts";
import type { LeafRequest } from "../../src/engine/nodes/leaf.ts";
import { shownRequest } from "../../src/engine/run/shown-request.ts";
import { AttemptList } from "../../src/storage/history/attempt-list.ts";
import { transform } from "./definitions.ts";
import { begin, ended, type NodeJson, type RunOptions, settle, start } from "./workflow.ts";

const answers = (status: number, body = '{"why":"no"}'): NonNullable<RunOptions["client"]> => ({
  send: async ({ url }) => ({
    ...{ status, url, redirects: 0, headers: { "content-type": "application/json" } },
    body: Buffer.from(body),
  }),
});
const call = (more: JsonObject = {}, settings: JsonObject = {}): NodeJson => ({
  id: "h",
  settings,
  http: {
    method: "POST",
    url: "https://api.example.com/pay",
    query: [
      { key: "api_key", value: "{{event.body.key}}" },
      { key: "page", value: "1" },
    ],
    headers: [
      { key: "Authorization", value: "Bearer {{event.body.key}}" },
      { key: "X-Note", value: "n", secret: true },
    ],
    json: '{"amount": "{{event.body.amount}}", "card": {"cvc": "{{event.body.key}}"}}',
    ...more,
  },
});
const body = { key: "hunter2hunter2", amount: 5 };

/** Runs to the end, moving the clock where it waits; gives the records. */
async function recordsOf(nodes: readonly NodeJson[], edges: readonly string[], options: RunOptions) {
  const { outcome, clock, journal } = begin(nodes, edges, options);
  let isOver = false;
  const end = outcome.finally(() => {
    isOver = true;
  });
  for (; !isOver; clock.advance(100)) {
    await settle();
  }
  return ended(await end, journal).records;
}

const of = (records: readonly NodeRun[], path: string) => records.find((run) => run.path === path);

describe("the record of a call that failed", () => {
  test("has the request without credentials, and what the templates gave", async () => {
    const records = await recordsOf([start, call()], ["start > h"], { body, client: answers(422) });
    expect(of(records, "h")).toMatchObject({
      state: "ERRORED",
      error: { reason: "HTTP_STATUS", status: 422, body: { why: "no" } },
      request: {
        method: "POST",
        url: "https://api.example.com/pay?api_key=[REDACTED]&page=1",
        headers: [
          { key: "Authorization", value: "[REDACTED]" },
          { key: "X-Note", value: "[REDACTED]" },
          { key: "Content-Type", value: "application/json" },
          { key: "Idempotency-Key", value: "0123456789abcdef01234567:h:0" },
        ],
        body: '{"amount":5,"card":{"cvc":"[REDACTED]"}}',
      },
    });
    expect(JSON.parse(of(records, "h")?.input ?? "")).toEqual({ "event.body.key": body.key, "event.body.amount": 5 });
  });

  test("also where the failure is skipped or goes on at the error port, and not where the call succeeds", async () => {
    for (const settings of [{ on_error: "SKIP" }, { on_error: "PORT" }]) {
      const records = await recordsOf([start, call({}, settings)], ["start > h"], { body, client: answers(422) });
      expect(of(records, "h")?.request?.method).toBe("POST");
    }
    const fine = of(await recordsOf([start, call()], ["start > h"], { body, client: answers(200) }), "h");
    expect([fine?.state, fine?.request, fine?.input]).toEqual(["SUCCESS", undefined, undefined]);
  });

  test("has nothing of a hidden node, and no value where the node reads a hidden one", async () => {
    const options = { body, client: answers(422) };
    const hidden = of(await recordsOf([start, call({}, { hide_node_request: true })], ["start > h"], options), "h");
    expect([hidden?.request, hidden?.input]).toEqual([undefined, undefined]);
    const secret = transform("s", '"open sesame"', { settings: { hide_node_request: true } });
    const reads = call({ json: '{"a": "{{node.s.body}}"}', headers: [{ key: "X-A", value: "{{node.s.body}}" }] });
    const records = await recordsOf([start, secret, reads], ["start > s", "s > h"], options);
    const { request, input } = of(records, "h") ?? {};
    expect(request).toMatchObject({ url: "[REDACTED]", body: "[REDACTED]" });
    expect(JSON.stringify([request, input])).not.toContain("sesame");
  });

  test("of each attempt when it began, and of all of them the delays", async () => {
    const settings = { retry: { max_attempts: 3, delay_ms: 500 } };
    const records = await recordsOf([start, call({}, settings)], ["start > h"], { body, client: answers(503) });
    const list = new AttemptList("h");
    for (const one of records) {
      list.add(one);
    }
    for (const [path, number] of [
      ["h#2", 1],
      ["h#3", 2],
    ] as const) {
      const before = of(records, `h#${number}`)?.end_time ?? 0;
      list.add({ path: `${path}#wait`, start_time: before, end_time: before + 500 });
    }
    const run = of(records, "h");
    const attempts = run === undefined ? [] : list.of(run);
    expect(attempts.map(({ number, delay_ms, error }) => [number, delay_ms, error?.status])).toEqual([
      [1, undefined, 503],
      [2, 500, 503],
      [3, 500, 503],
    ]);
    const starts = attempts.map(({ start_time }) => start_time - (run?.start_time ?? 0));
    expect(starts).toEqual([0, 500, 1_000]);
    expect(list.of({ ...run, path: "x", state: "SUCCESS" } as NodeRun)).toHaveLength(3);
    expect(new AttemptList("h").of(run as NodeRun)).toEqual([]);
  });
});

describe("record_inputs", () => {
  const bad = transform("bad", "$error({{event.body.amount}} & 'x')");
  const fine = transform("fine", "{{event.body.amount}}");
  const edges = ["start > fine", "fine > bad"];

  test.each([
    [undefined, [undefined, 5]],
    ["ON_FAILURE", [undefined, 5]],
    ["ALWAYS", [5, 5]],
    ["NEVER", [undefined, undefined]],
  ] as const)("%s", async (recordInputs, inputs) => {
    const options = { body, ...(recordInputs && { recordInputs }) };
    const records = await recordsOf([start, fine, bad], edges, options);
    const given = ["fine", "bad"].map((id) => of(records, id)?.input);
    expect(given.map((text) => text && JSON.parse(text)["event.body.amount"])).toEqual(inputs);
  });

  test("many failures keep no more than 4 MiB of them", async () => {
    const group = { id: "g", group: { array: "{{event.body.rows}}", allow_partial_success: true } };
    const inner = { ...call({ json: '"{{event.body.big}}"' }), group_id: "g" };
    const rows = Array.from({ length: 40 }, (_, index) => index);
    const records = await recordsOf([start, group, inner], ["start > g", "g each > h"], {
      body: { ...body, rows, big: "x".repeat(200_000) },
      client: answers(422),
    });
    const kept = records.filter(({ input }) => input !== undefined);
    expect([kept.length > 5, kept.length < 22]).toEqual([true, true]);
    expect(of(records, "g[39]/h")?.notes).toEqual(["The values of the node's templates are too large to be kept."]);
  });
});

describe("a request as people see it", () => {
  const request = (more: Partial<LeafRequest>): LeafRequest => ({
    ...{ method: "POST", url: "https://u:p@example.com/a?sig=1&q=2", headers: [] },
    ...more,
  });
  const form = [["content-type", "application/x-www-form-urlencoded"]] as const;

  test.each<[string, LeafRequest, string | undefined]>([
    [
      "JSON",
      request({ body: '[{"refresh_token": "a", "n": [{"Password": 1}], "x": null}]' }),
      '[{"refresh_token":"[REDACTED]","n":[{"Password":"[REDACTED]"}],"x":null}]',
    ],
    ["a form", request({ body: "client_secret=a&b=c", headers: form }), "client_secret=[REDACTED]&b=c"],
    ["parts", request({ body: "--x", headers: [["Content-Type", "multipart/form-data; boundary=x"]] }), "[REDACTED]"],
    ["a text", request({ body: "hello" }), "hello"],
    ["nothing", request({}), undefined],
  ])("the body: %s", (_, given, shown) => {
    const { url, body: text } = shownRequest(given, false);
    expect([url, text]).toEqual(["https://[REDACTED]:[REDACTED]@example.com/a?sig=[REDACTED]&q=2", shown]);
  });

  test("a long body is cut", () => {
    const { body: text, is_cut } = shownRequest(request({ body: "ü".repeat(20_000) }), false);
    expect([text?.length, is_cut]).toEqual([16_384, true]);
  });
});
