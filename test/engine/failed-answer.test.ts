import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { beginCall, call } from "./http-node.ts";
import { compile, run, start } from "./workflow.ts";

const declined = { error: { code: "card_declined", message: "Your card was declined." } };

function answer(status: number, body: string | Buffer, type = "application/json") {
  return {
    onRequest: (_: unknown, response: import("node:http").ServerResponse) =>
      void response.writeHead(status, { "content-type": type }).end(body),
  };
}

const read =
  '{"state": {{node.c.state}}, "error": {{node.c.error}}, "reason": {{node.c.error.reason}}, ' +
  '"status": {{node.c.error.status}}, "code": {{node.c.error.body.error.code}}}';

test("an answer that fails its node keeps its status and its JSON, in the node's record and in the execution's error", async () => {
  const { outcome, records } = await call(answer(402, JSON.stringify(declined)));
  const error = { reason: "HTTP_STATUS", node_id: "c", status: 402, body: declined };
  expect(outcome).toMatchObject({ state: "ERRORED", error });
  expect(records.find(({ path }) => path === "c")).toMatchObject({ state: "ERRORED", error });
});

test("templates read the state and the error of a node whose failure was skipped, in a replay too", async () => {
  const options = { ...answer(402, JSON.stringify(declined)), settings: { skip_on_error: true }, data: read };
  const first = await call(options);
  const expected = {
    state: "ERRORED_AND_SKIPPED",
    error: { reason: "HTTP_STATUS", status: 402, body: declined, node_id: "c" },
    reason: "HTTP_STATUS",
    status: 402,
    code: "card_declined",
  };
  expect(first.response).toMatchObject(expected);
  const again = await call({ ...options, earlier: first.records.filter(({ path }) => path !== "r") });
  expect(again.response).toMatchObject(expected);
  expect(again.requests).toEqual([]);
});

test("the error of a node that has not failed is null, without a note", async () => {
  const { response, records } = await call({ data: read });
  expect(response).toEqual({ state: "SUCCESS", error: null, reason: null, status: null, code: null });
  expect(records.find(({ path }) => path === "r")?.notes).toBeUndefined();
});

test.each([
  ["text", "no such card", "text/plain", { body: "no such card" }],
  ["nothing", "", "application/json", {}],
  ["JSON that is none", "{oops", "application/json", { body: "{oops" }],
  ["JSON with a name twice", '{"a":1,"a":2}', "application/json", { body: { a: 2 } }],
  [
    "text with NUL",
    "a\u0000b",
    "text/plain; charset=utf-8",
    { body: { base64: "YQBi", content_type: "text/plain; charset=utf-8" } },
  ],
  ["more than 16 KiB", "x".repeat(16_385), "text/plain", { body: "x".repeat(16_384), is_cut: true }],
  ["a character on the border", `${"x".repeat(16_383)}€`, "text/plain", { body: "x".repeat(16_383), is_cut: true }],
] as const)("a failed answer with %s is kept as far as it goes", async (_, body, type, expected) => {
  const { outcome } = await call(answer(500, body, type));
  const { body: kept, is_cut } = outcome.error ?? {};
  expect({ ...(kept !== undefined && { body: kept }), ...(is_cut && { is_cut }) }).toEqual(expected);
});

test("an answer that cannot be decoded fails its node all the same, and keeps its status", async () => {
  const broken = gzipSync("hello").subarray(0, 12);
  const onRequest = (_: unknown, response: import("node:http").ServerResponse) =>
    void response.writeHead(500, { "content-encoding": "gzip" }).end(broken);
  const { outcome } = await call({ onRequest });
  expect(outcome.error).toMatchObject({ reason: "HTTP_STATUS", status: 500 });
  expect(outcome.error?.body).toBeUndefined();
});

test("a hidden node hides what its server said of the failure, and later nodes read it", async () => {
  const options = {
    ...answer(402, JSON.stringify(declined)),
    settings: { skip_on_error: true, hide_node_request: true },
  };
  const skipped = await call({ ...options, data: read });
  expect(skipped.response).toMatchObject({ code: "card_declined" });
  const failed = await call({ ...options, settings: { hide_node_request: true } });
  expect(failed.outcome.error).toMatchObject({ message: "[REDACTED]", status: 402, body: "[REDACTED]" });
});

test.each([
  [
    "JSON",
    JSON.stringify(declined),
    "application/json",
    { error: { code: "[REDACTED]", message: declined.error.message } },
  ],
  ["text, which may hold it anywhere", "card_declined", "text/plain", "[REDACTED]"],
])("encrypted output fields hide the same part of a failed answer: %s", async (_, body, type, expected) => {
  const settings = { encrypted_output_fields: ["body.error.code"] };
  const { outcome } = await call({ ...answer(402, body, type), settings });
  expect(outcome.error?.body).toEqual(expected);
});

test("a record of an attempt that is tried again has the status, and not the body", async () => {
  const settings = { retry: { delay_ms: 0, max_attempts: 2 } };
  const { records } = await call({ ...answer(503, JSON.stringify(declined)), settings });
  const attempt = records.find(({ path }) => path === "c#1");
  expect(attempt?.error).toMatchObject({ status: 503 });
  expect(attempt?.error?.body).toBeUndefined();
});

const group = [
  start,
  { id: "g", group: { array: "{{event.body.items}}", output: "{{node.c.body}}", allow_partial_success: true } },
];

test("a Group keeps null in a failed item's place and lists why each failed, in a replay too", async () => {
  const { host, server } = await beginCall({
    onRequest: (request, response) => {
      const bad = request.url?.endsWith("=1") === true;
      response.writeHead(bad ? 422 : 200, { "content-type": "application/json" }).end(bad ? '{"why":"bad"}' : "7");
    },
  });
  const { startClient } = await import("./http/outside.ts");
  const client = await startClient({ allow: `127.0.0.1:${server.port}` });
  const nodes = [
    ...group,
    {
      id: "c",
      group_id: "g",
      http: { method: "GET", url: `${host}/`, query: [{ key: "n", value: "{{node.g.body.array_item}}" }] },
    },
    { id: "r", response: { data: '{"all": {{node.g.body}}, "errors": {{node.g.errors}}}' } },
  ];
  const edges = ["start > g", "g each > c", "g > r"];
  const options = { client, body: { items: [0, 1, 2] } };
  const first = await run(nodes, edges, options);
  const error = {
    index: 1,
    reason: "HTTP_STATUS",
    message: "The server answered with the status 422.",
    status: 422,
    body: { why: "bad" },
  };
  expect(first.response).toEqual({ all: [7, null, 7], errors: [error] });
  const again = await run(nodes, edges, { ...options, earlier: first.records.filter(({ path }) => path !== "r") });
  expect(again.response).toEqual(first.response);
});

test("thousands of failed items keep the beginnings of what the server said, and the run its records", async () => {
  const { host, server } = await beginCall(answer(404, "n".repeat(16_384), "text/plain"));
  const { startClient } = await import("./http/outside.ts");
  const client = await startClient({ allow: `127.0.0.1:${server.port}` });
  const nodes = [
    ...group,
    { id: "c", group_id: "g", http: { method: "GET", url: `${host}/` } },
    { id: "r", response: { data: "{{node.g.errors}}" } },
  ];
  const { outcome, records } = await run(nodes, ["start > g", "g each > c", "g > r"], {
    client,
    body: { items: Array.from({ length: 600 }, (_, index) => index) },
  });
  expect(outcome.error).toMatchObject({ reason: "GROUP_ITERATIONS_FAILED" });
  const cut = records.filter(({ error }) => error?.is_cut === true && error.reason === "HTTP_STATUS");
  expect(cut.length).toBeGreaterThan(100);
  expect(records.reduce((sum, record) => sum + JSON.stringify(record).length, 0)).toBeLessThan(20 * 1024 * 1024);
}, 30_000);

test.each([
  ["{{node.c.errors}}", "TEMPLATE_UNKNOWN"],
  ["{{node.c.state.x}}", "TEMPLATE_UNKNOWN"],
  ["{{node.c.error.stack}}", "TEMPLATE_UNKNOWN"],
  ["{{node.c.error.reason.x}}", "TEMPLATE_UNKNOWN"],
  ["{{node.x.error}}", "TEMPLATE_NODE_UNKNOWN"],
])("%s is refused: %s", (data, reason) => {
  const nodes = [start, { id: "c", http: { method: "GET", url: "http://x.test/" } }, { id: "r", response: { data } }];
  const { errors } = compile(nodes, ["start > c", "c > r"]);
  expect(errors.map((error) => error.reason)).toEqual([reason]);
});

test("a node with a failed input and another one reads how that failed", async () => {
  const nodes = [
    start,
    { id: "bad", transform: { query: '$error("no")' } },
    { id: "good", transform: { query: "1" } },
    { id: "t", transform: { query: "[{{node.bad.state}}, {{node.good.state}}, {{node.bad.error.reason}}]" } },
  ];
  const edges = ["start > bad", "start > good", "bad > t", "good > t"];
  const { records } = await run(nodes, edges, { onFailure: "FINISH_BRANCHES" });
  const read = '["ERRORED","SUCCESS","EXPRESSION_ERROR"]';
  expect(records.find(({ path }) => path === "t")?.output).toBe(read);
  const earlier = records.filter(({ path }) => path !== "t");
  const again = await run(nodes, edges, { onFailure: "FINISH_BRANCHES", earlier });
  expect(again.records.find(({ path }) => path === "t")?.output).toBe(read);
});
