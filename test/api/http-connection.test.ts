import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { JsonObject } from "@bufbuild/protobuf";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ConnectionService } from "../../src/gen/flowcall/v1/connection_pb.ts";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { IntegrationService } from "../../src/gen/flowcall/v1/integration_pb.ts";
import { putWorkflow } from "../support/flowcall.ts";
import { account, executionCalls, invalid } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { updateIntegration, getIntegration } = IntegrationService.method;
const { putConnection, deleteConnection } = ConnectionService.method;
const { executeWorkflow, getExecution, getNodeRun } = ExecutionService.method;

const secrets = { token: "canary/token+of one", password: "canary-password" };
/** The canaries as they are, and in their usual codes. */
const canaries = Object.values(secrets).flatMap((secret) => [
  secret,
  encodeURIComponent(secret),
  ...["", "x", "xx"].map((start) => Buffer.from(`${start}${secret}`).toString("base64").slice(4, 20)),
]);

/** Repeats all that it got: in the body and a header with the status that the path ends with. */
const upstream = createServer((request, response) => {
  const status = Number(/(\d{3})/.exec(request.url ?? "")?.[1] ?? 200);
  const got = JSON.stringify({ url: request.url, headers: request.headers });
  const coded = Buffer.from(got).toString("base64");
  response.writeHead(status, { "content-type": "application/json", "x-got": encodeURIComponent(got) });
  response.end(JSON.stringify({ got, coded, url: request.url, headers: request.headers }));
});

const log: string[] = [];
const flowcall = await useFlowcall(
  { FLOWCALL_EGRESS_ALLOW: "127.0.0.0/8" },
  pino({ level: "debug" }, { write: (line) => log.push(line) }),
);
const calls = executionCalls(flowcall.url);
const auths: Readonly<Record<string, JsonObject>> = {
  headers: { headers: { fields: [{ key: "X-Key", value: "{{connection.token}}" }] } },
  query: { query: { fields: [{ key: "key", value: "{{connection.token}}" }] } },
  basic: { basic: { username: "ada", password: "{{connection.password}}" } },
};
let base_url = "";

async function putApi(auth: JsonObject): Promise<void> {
  const put = await calls.ask(updateIntegration, { slug: "asana", name: "Asana", fields: [], base_url, auth });
  expect(put.reason).toBeUndefined();
}

beforeAll(async () => {
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  base_url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  await putApi(auths["headers"] ?? {});
  await calls.ask(putConnection, { account_id: account, slug: "asana", credentials: secrets });
  await putWorkflow(flowcall.url, {
    alias: "echo",
    definition: {
      nodes: [
        { id: "1", start: { api_call: {} } },
        { id: "2", name: "Call", http: { method: "GET", url: "/{{event.body.status}}", connection: {} } },
        { id: "3", transform: { query: "$string({{node.2.body}}) & {{node.2.headers.x-got}}" } },
        { id: "4", response: { data: "[{{node.2.body}}, {{node.2.headers}}, {{node.3.body}}]" } },
      ],
      edges: ["1", "2", "3"].map((source) => ({ source, target: String(Number(source) + 1) })),
    },
  });
});

afterAll(() => upstream.close());

async function execute(status: number, type: string) {
  const call = { workflow: "echo", linked_account_id: account, payload: { status: String(status) } };
  const answer = await calls.ask(executeWorkflow, { ...call, ...(type === "SYNC" ? { sync_execution: true } : {}) });
  return { answer, execution_id: answer.headers.get("x-execution-id") ?? "" };
}

/** Every row of every table as text. */
async function dump(): Promise<string> {
  const { rows } = await flowcall.database.query("select tablename as name from pg_tables where schemaname = 'public'");
  const tables = await Promise.all(
    rows.map(async ({ name }) => (await flowcall.database.query(`select t::text as row from "${name}" t`)).rows),
  );
  return tables.flatMap((table) => table.map(({ row }) => String(row))).join("\n");
}

test("no credential stands in a reply, a record, an error, the log or the database", async () => {
  const places: string[] = [];
  for (const auth of Object.values(auths)) {
    await putApi(auth);
    for (const status of [200, 422]) {
      for (const type of ["SYNC", "ASYNC"]) {
        const { answer, execution_id } = await execute(status, type);
        places.push(JSON.stringify(answer.message), answer.text ?? "");
        const state = status === 200 ? "COMPLETED" : "ERRORED";
        await calls.until(getExecution, { execution_id }, { status: state });
        places.push(JSON.stringify((await calls.ask(getExecution, { execution_id })).message));
        const run = await calls.ask(getNodeRun, { execution_id, node_id: "2" });
        places.push(JSON.stringify(run.message));
        expect(places.at(-1)).toContain("[REDACTED]");
      }
    }
  }
  places.push(await dump(), log.join("\n"));
  expect(places.flatMap((place) => canaries.filter((canary) => place.includes(canary)))).toEqual([]);
});

test("what an integration says of its API is shown and checked, and its changes count at once", async () => {
  const api = {
    base_url: "https://{{connection.domain}}.example.com",
    hosts: ["*.example.org"],
    auth: auths["headers"] ?? {},
  };
  const fields = { slug: "asana", name: "Asana", fields: [] };
  const kept = (await calls.ask(updateIntegration, { ...fields, ...api })).message;
  expect(kept).toMatchObject(api);
  await calls.check(getIntegration, { slug: "asana" }, Object(kept));
  for (const bad of [{ base_url: "nowhere" }, { hosts: ["*"] }, { auth: {} }, { auth: { headers: { fields: [] } } }]) {
    await calls.checkRefused(updateIntegration, { ...fields, ...bad }, invalid);
  }
  // What stands in the host alone is no secret, and may be short.
  const credentials = { ...secrets, domain: "acme" };
  expect((await calls.ask(putConnection, { account_id: account, slug: "asana", credentials })).reason).toBeUndefined();
  await calls.checkRefused(
    putConnection,
    { account_id: account, slug: "asana", credentials: { token: "acme" } },
    invalid,
  );
  await putApi(auths["headers"] ?? {});
  expect((await execute(200, "SYNC")).answer.reason).toBeUndefined();
  await calls.ask(deleteConnection, { account_id: account, slug: "asana" });
  const { answer, execution_id } = await execute(200, "SYNC");
  expect([answer.reason, execution_id.length]).toEqual(["WORKFLOW_ERRORED", 24]);
  expect((await calls.ask(getExecution, { execution_id })).message).toMatchObject({
    error: { reason: "CONNECTION_MISSING", node_id: "2" },
  });
});
