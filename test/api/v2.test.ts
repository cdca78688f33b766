import type { JsonObject } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, test } from "vitest";
import { echoDefinition, putWorkflow, testKey } from "../support/flowcall.ts";
import { useFlowcall } from "./use-flowcall.ts";

const account = "john@acme.io";
const byKey = { "x-api-key": testKey, linked_account_id: account };
const anId = expect.stringMatching(/^[0-9a-f]{24}$/);
const aTime = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
const started = { message: "Workflow execution started", execution_id: anId };
const failing = { terminate: { result: "ERROR", message: "No such task." } };

const flowcall = await useFlowcall({ FLOWCALL_PUBLIC_URL: "http://127.0.0.1" });
let workflow = "";

beforeAll(async () => {
  workflow = await putWorkflow(flowcall.url, {
    alias: "echo",
    definition: echoDefinition('{"body": {{event.body}}, "headers": {{event.headers}}}'),
  });
  await putWorkflow(flowcall.url, { alias: "teapot", definition: withStatus(418) });
  await putWorkflow(flowcall.url, { alias: "fails", definition: between(failing) });
  await putWorkflow(flowcall.url, { alias: "waits", definition: between({ wait_for_webhook: {} }) });
  await putWorkflow(flowcall.url, { alias: "loop", definition: between({ group: { count: "1" } }) });
});

function between(node: JsonObject): JsonObject {
  const nodes = [
    { id: "1", start: { api_call: {} } },
    { id: "2", response: { data: "[1]" } },
    { id: "3", ...node },
  ];
  const edges = [
    { source: "1", target: "2" },
    { source: "2", target: "3" },
  ];
  return { nodes, edges };
}

function withStatus(status_code: number): JsonObject {
  const nodes = [
    { id: "1", start: { api_call: {} } },
    { id: "2", response: { data: '"tea"', status_code } },
  ];
  return { nodes, edges: [{ source: "1", target: "2" }] };
}

type Asked = { readonly headers?: Readonly<Record<string, string>>; readonly body?: JsonObject };

async function ask(path: string, { headers = byKey, body }: Asked = {}) {
  const sent = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const reply = await fetch(`${flowcall.url}/api/v2/public${path}`, {
    ...sent,
    headers: { ...headers, ...(body !== undefined && { "content-type": "application/json" }) },
  });
  return { status: reply.status, headers: reply.headers, body: Object(await reply.json()) };
}

const execute = (alias: string, headers: Readonly<Record<string, string>> = {}, query = "") =>
  ask(`/workflow/${alias}/execute${query}`, { body: { a: 1 }, headers: { ...byKey, ...headers } });

/** A key for one account, as a session token is. */
async function keyOf(linked_accounts: readonly string[]): Promise<string> {
  const reply = await fetch(`${flowcall.url}/api/v1/api-key`, {
    method: "POST",
    headers: { "x-api-key": testKey, "content-type": "application/json" },
    body: JSON.stringify({ name: "session", scopes: ["execute", "read"], linked_accounts }),
  });
  return Object(await reply.json()).key;
}

describe("the paths that clients of Refold call", () => {
  test("start an execution, and answer so", async () => {
    const { status, headers, body } = await execute("echo");
    expect([status, body]).toEqual([200, started]);
    expect(headers.get("x-execution-id")).toBe(body.execution_id);
  });

  test("run one to its end: its value, with the headers in the event whatever is asked for", async () => {
    const { status, body } = await execute(
      "echo",
      { sync_execution: "true", instance_tag: "v2-tag" },
      "?include-headers=true",
    );
    expect([status, body]).toEqual([
      200,
      {
        return_value: { body: { a: 1 }, headers: expect.anything() },
        execution_id: anId,
        errored: false,
        status_code: 200,
      },
    ]);
    const { body: kept } = await ask(`/execution/${body.execution_id}`);
    expect(kept).toMatchObject({ instance_tag: "v2-tag", type_of_execution: "SYNC" });
  });

  test("answer with the status of the Response node, and 200 for an execution that failed", async () => {
    const tea = await execute("teapot", { sync_execution: "true" });
    expect([tea.status, tea.body]).toEqual([
      418,
      { return_value: "tea", execution_id: anId, errored: false, status_code: 418 },
    ]);
    const failed = await execute("fails", { sync_execution: "true" });
    expect([failed.status, failed.headers.get("x-execution-status"), failed.body]).toEqual([
      200,
      "ERRORED",
      expect.objectContaining({ return_value: [1], errored: true, status_code: 500 }),
    ]);
    expect(failed.body.execution_error.message).toBe("No such task.");
  });

  test("answer 202 when the wait is over", async () => {
    const { status, headers, body } = await execute("waits", { sync_execution: "true", prefer: "wait=0" });
    expect([status, body]).toEqual([202, started]);
    expect(headers.get("location")).toBe(`/api/v1/execution/${body.execution_id}/response`);
  });

  test("refuse as all paths do", async () => {
    expect((await execute("loop", { sync_execution: "true" })).body).toMatchObject({
      status_code: 400,
      error_code: "SYNC_NOT_ALLOWED_WITH_GROUP",
    });
    expect((await execute("nobody")).status).toBe(404);
    expect((await execute("echo", { "x-api-key": "tk-nobody" })).status).toBe(401);
    expect((await execute("echo", { linked_account_id: "" })).body).toMatchObject({ error_code: "VALIDATION_ERROR" });
    expect((await execute("echo", {}, "?payload=1")).body.message).toContain("payload is not a query parameter");
    expect((await ask("/execution/0123456789abcdef01234567")).body).toMatchObject({
      status_code: 404,
      error_code: "RESOURCE_NOT_FOUND",
    });
  });

  test("answer an execution with its nodes", async () => {
    const { body } = await execute("fails", { sync_execution: "true" });
    const { body: execution } = await ask(`/execution/${body.execution_id}`);
    expect(execution).toEqual({
      _id: body.execution_id,
      id: body.execution_id,
      name: expect.stringMatching(/^Execution for workflow [0-9a-f]{24}$/),
      status: "ERRORED",
      associated_workflow: { _id: anId },
      associated_application: { slug: "asana" },
      trigger_application_event: "API Call",
      linked_account_id: account,
      config_id: account,
      type_of_execution: "SYNC",
      createdAt: aTime,
      completion_time: aTime,
      execution_error: expect.objectContaining({ message: "No such task." }),
      completion_percentage: 100,
      payload: { a: 1 },
      response: [1],
      nodes: ["1", "2", "3"].map((node_id, index) =>
        expect.objectContaining({
          node_id,
          node_status: index === 2 ? expect.any(String) : "Success",
          attempts_made: 1,
        }),
      ),
    });
  });

  test("list executions in pages that are counted", async () => {
    const ids: string[] = [];
    for (let count = 0; count < 3; count += 1) {
      ids.unshift((await execute("echo", { instance_tag: "counted", sync_execution: "true" })).body.execution_id);
    }
    const query = `workflow_id=${workflow}&status=COMPLETED&execution_type=SYNC&execution_source=API_CALL&slug=asana&sortAsc=false`;
    const page = async (number: number) => (await ask(`/execution?limit=2&page=${number}&${query}`)).body;
    const [first, second, third] = [await page(1), await page(2), await page(3)];
    expect(first).toMatchObject({ limit: 2, page: 1, totalDocs: 3, totalPages: 2, hasPrevPage: false, nextPage: 2 });
    const listed = [...first.docs, ...second.docs, ...third.docs].map(({ _id }: { _id: string }) => _id);
    expect(listed.slice(0, 3)).toEqual(ids);
    expect(new Set(listed).size).toBe(listed.length);
    expect((await page(50)).docs).toEqual([]);
    expect(await page(50)).toMatchObject({ hasNextPage: false, nextPage: null, prevPage: 49 });
    const today = new Date().toISOString().slice(0, 10);
    const ofDay = async (range: string) => (await ask(`/execution?workflow_id=${workflow}&${range}`)).body.docs.length;
    expect(await ofDay(`start_date=${today}`)).toBeGreaterThan(2);
    expect(await ofDay(`end_date=${today}`)).toBeGreaterThan(2);
    expect(await ofDay(`start_date=${Date.now() + 60_000}`)).toBe(0);
    expect(await ofDay("end_date=2020-02-29")).toBe(0);
  });

  test.each([
    ["page=0", /page must be/],
    ["page=x", /page must be/],
    ["limit=201", /limit must be/],
    ["limit=200&page=52", /page reaches/],
    ["status=STOPPING", /status must be All, QUEUED/],
    ["status=__proto__", /status must be/],
    ["execution_type=Sync", /execution_type must be/],
    ["execution_source=Event", /execution_source must be API Call or Schedule/],
    ["start_date=2026-02-30", /start_date must be a day/],
    ["end_date=999999999999999", /end_date must be a day/],
    ["workflow_name=a", /workflow_name is not a query parameter/],
    ["sortAsc=true", /sortAsc is not/],
    ["slug=asana", /slug is of use with workflow/],
    ["page=1&page=2", /page is given twice/],
    ["__proto__=1", /__proto__ is not/],
  ])("refuse the list %s", async (query, message) => {
    const { status, body } = await ask(`/execution?${query}`);
    expect([status, body.error_code]).toEqual([400, "VALIDATION_ERROR"]);
    expect(body.message).toMatch(message);
  });

  test("take a key of one account for that account, as the vendor's browser client sends one", async () => {
    const authorization = `Bearer ${await keyOf([account])}`;
    // As the client sends it: no account, an empty slug.
    const headers = { authorization, slug: "", sync_execution: "true" };
    const { status, body } = await ask("/workflow/echo/execute", { headers, body: { a: 1 } });
    expect([status, body.return_value.body]).toEqual([200, { a: 1 }]);
    expect((await ask(`/execution/${body.execution_id}`, { headers: { authorization } })).body._id).toBe(
      body.execution_id,
    );
    expect((await ask("/execution?page=1&limit=1", { headers: { authorization } })).body.docs).toHaveLength(1);
    // On the other paths an account is named.
    const v1 = await fetch(`${flowcall.url}/api/v1/workflow/echo/execute`, {
      method: "POST",
      headers: { authorization },
    });
    expect([v1.status, await v1.text()]).toEqual([400, expect.stringContaining("linked_account_id is required")]);
    const key = authorization.replace("Bearer ", "");
    expect((await ask("/execution", { headers: { authorization, "x-api-key": key } })).status).toBe(200);
    expect((await ask("/execution", { headers: { authorization, "x-api-key": testKey } })).status).toBe(401);
  });

  test("stand in the OpenAPI document with their own query and replies", async () => {
    const { paths } = Object(await (await fetch(`${flowcall.url}/openapi.json`)).json());
    const operation = (path: string, verb: string) => paths[`/api/v2/public${path}`][verb];
    const list = operation("/execution", "get");
    expect(list.operationId).toBe("listExecutionsV2");
    expect(list.parameters.map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining(["linked_account_id", "page", "limit", "status", "start_date"]),
    );
    expect(list.parameters.map(({ name }: { name: string }) => name)).not.toContain("page_token");
    expect(operation("/execution/{execution_id}", "get").responses["404"]).toBeDefined();
    const { responses, requestBody } = operation("/workflow/{workflow}/execute", "post");
    expect(requestBody.content["application/json"].schema).toMatchObject({ type: "object" });
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(["200", "202", "4XX", "401"]));
    const { anyOf } = responses["200"].content["application/json"].schema;
    expect(anyOf.map(({ required }: { required: string[] }) => required)).toEqual([
      ["message", "execution_id"],
      ["execution_id", "return_value", "errored", "status_code"],
    ]);
  });
});
