import type { JsonObject } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { until } from "../support/eventually.ts";
import { putWorkflow, testKey } from "../support/flowcall.ts";
import { account } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

/** So many executions in a row may call each other. */
const chainMax = 3;

const flowcall = await useFlowcall({ FLOWCALL_CALL_CHAIN: String(chainMax), FLOWCALL_EGRESS_ALLOW: "127.0.0.1" });

const own = [
  { key: "x-api-key", value: testKey },
  { key: "linked_account_id", value: account },
];

/** Start → HTTP nodes side by side, each of which calls an API of Flowcall with the key of the workflow's author. */
async function putCalling(alias: string, urls: readonly string[], headers = own): Promise<void> {
  const calls = urls.map((url, index) => ({
    id: `call-${index}`,
    http: { method: "POST", url, json: "{{event.body}}", headers },
    settings: { skip_on_error: true },
  }));
  const definition: JsonObject = {
    nodes: [{ id: "start", start: { api_call: {} } }, ...calls],
    edges: calls.map(({ id }) => ({ source: "start", target: id })),
  };
  await putWorkflow(flowcall.url, { alias, definition });
}

async function send(path: string, headers: Readonly<Record<string, string>> = {}, body: JsonObject = {}) {
  const reply = await fetch(`${flowcall.url}${path}`, {
    method: "POST",
    headers: { "x-api-key": testKey, linked_account_id: account, "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  return { status: reply.status, json: Object(await reply.json()) };
}

/** How many executions of a workflow there are, once none of any goes on. */
async function countOf(alias: string): Promise<number> {
  const count = async (from: string) =>
    Number((await flowcall.database.query(`select count(*)::int as count from ${from}`)).rows[0]?.["count"]);
  await until("no execution goes on", async () => (await count("execution_claim")) === 0);
  return await count(`execution join workflow on workflow.id = execution.workflow_id where alias = '${alias}'`);
}

test("a workflow that calls its own URL twice comes to an end", async () => {
  const url = `${flowcall.url}/api/v1/workflow/doubling/execute`;
  await putCalling("doubling", [url, url]);
  expect((await send("/api/v1/workflow/doubling/execute")).status).toBe(200);
  expect(await countOf("doubling")).toBe(2 ** (chainMax + 1) - 1);
  const { rows } = await flowcall.database.query(
    "select count(*)::int as count from execution where headers::text like '%flowcall, flowcall, flowcall%'",
  );
  expect(Number(rows[0]?.["count"])).toBe(2 ** chainMax);
});

test("one that has its executions run again does too", async () => {
  await putCalling("again", [`${flowcall.url}/api/v1/execution/{{execution.id}}/rerun`]);
  expect((await send("/api/v1/workflow/again/execute")).status).toBe(200);
  expect(await countOf("again")).toBe(chainMax + 1);
});

test("a call that too many executions led to is refused, whatever else stands in its header", async () => {
  const header = "edge.example; x=1, flowcall, Flowcall;a, flowcall, flowcall";
  const refused = await send("/api/v1/workflow/create-task/execute", { "cdn-loop": header });
  expect(refused.status).toBe(400);
  expect(refused.json).toMatchObject({ error_code: "CALL_CHAIN_TOO_LONG" });
  expect(JSON.stringify(refused.json)).toContain('"call_chain"');
  await putCalling("chained", [flowcall.url]);
  const { json } = await send("/api/v1/workflow/chained/execute");
  await countOf("chained");
  for (const [path, body] of [
    ["/api/v1/workflow/chained/draft/execute", {}],
    [`/api/v1/execution/${json.execution_id}/rerun`, {}],
    [`/api/v1/execution/${json.execution_id}/node/call-0/retry`, {}],
  ] as const) {
    const again = await send(path, { "cdn-loop": header }, body);
    expect([path, again.status, again.json.error_code]).toEqual([path, 400, "CALL_CHAIN_TOO_LONG"]);
  }
  expect(await countOf("chained")).toBe(1);
  const others = await send("/api/v1/workflow/create-task/execute", { "cdn-loop": "edge.example, ".repeat(9) });
  expect(others.status).toBe(200);
});

test("no author sets the header", async () => {
  const putting = putCalling("hiding", [flowcall.url], [{ key: "CDN-Loop", value: "other" }]);
  await expect(putting).rejects.toThrow('The header "CDN-Loop" is set by Flowcall');
});
