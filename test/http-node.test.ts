import type { RequestListener, ServerResponse } from "node:http";
import type { JsonObject } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ExecutionService } from "../src/gen/flowcall/v1/execution_pb.ts";
import { protocolsOf } from "./api/protocols.ts";
import { type SeenRequest, serve } from "./engine/http/outside.ts";
import { type Flowcall, productionKey, putWorkflow, startFlowcall, testKey } from "./support/flowcall.ts";
import { createExampleDatabase } from "./support/postgres.ts";
import { makeDataDir, startServerProcess } from "./support/server-process.ts";

const data = { "Task Name": 'a "task"', items: [1, null] };

type Execute = {
  readonly workflow: string;
  readonly isSync?: boolean;
  readonly payload: { readonly url: string };
  readonly key?: string;
};

/** Calls by REST; what is called is `url`. */
async function execute(base: string, { workflow, isSync = true, payload, key = testKey }: Execute) {
  const [rest] = protocolsOf(base);
  if (rest === undefined) {
    throw new Error("there is no REST");
  }
  const fields = { workflow, linked_account_id: "john@acme.io", sync_execution: isSync, payload: { data, ...payload } };
  return rest.call({ method: ExecutionService.method.executeWorkflow, key, fields });
}

function keysOf(requests: readonly SeenRequest[]): readonly unknown[] {
  return requests.map(({ headers }) => headers["idempotency-key"]);
}

/** Answers one request after the other. */
function script(...answers: readonly ((response: ServerResponse) => void)[]): RequestListener {
  let count = 0;
  return (_request, response) => answers[count++]?.(response);
}

const reset = (response: ServerResponse) => response.destroy();
const stall = () => undefined;
const unavailable = (response: ServerResponse) => response.writeHead(503).end();
const tooMany = (response: ServerResponse) => response.writeHead(429, { "retry-after": "1" }).end();
const created = (response: ServerResponse) => {
  response.writeHead(201, { "content-type": "application/json" }).end('{"id": 9007199254740993}');
};

describe("the examples that call HTTP APIs", () => {
  let flowcall: Flowcall;

  beforeEach(async () => {
    flowcall = await startFlowcall({ FLOWCALL_EGRESS_ALLOW: "127.0.0.0/8", FLOWCALL_HTTP_TIMEOUT_MS: "500" });
  });

  afterEach(async () => flowcall?.stop());

  test("call-http posts the data and answers the status and the body", async () => {
    const upstream = await serve(script(created));
    const payload = { url: `http://127.0.0.1:${upstream.port}/tasks?x=1` };
    const { message } = await execute(flowcall.url, { workflow: "call-http", payload });
    const id = Object(message).execution_id;
    expect(message).toMatchObject({ return_value: { status: 201, body: { id: "9007199254740993" } } });
    const [request] = upstream.requests;
    expect(request).toMatchObject({
      method: "POST",
      path: "/tasks?x=1",
      headers: { "content-type": "application/json" },
    });
    expect(JSON.parse(request?.body ?? "")).toEqual(data);
    expect(keysOf(upstream.requests)).toEqual([`${id}:2:0`]);
  });

  test("flaky-call goes on through resets, stalls and refusals, and answers in the end", async () => {
    const times: number[] = [];
    const answer = script(reset, stall, unavailable, tooMany, reset, created);
    const upstream = await serve((request, response) => {
      times.push(performance.now());
      answer(request, response);
    });
    const payload = { url: `http://127.0.0.1:${upstream.port}/` };
    const { message } = await execute(flowcall.url, { workflow: "flaky-call", payload });
    const id = Object(message).execution_id;
    expect(message).toMatchObject({ return_value: { status: 201 } });
    expect(keysOf(upstream.requests)).toEqual([0, 0, 0, 1, 2, 2].map((count) => `${id}:2:${count}`));
    expect(new Set(upstream.requests.map(({ body }) => body)).size).toBe(1);
    // Retry-After says one second, which is more than the policy's own delay.
    expect((times[4] ?? 0) - (times[3] ?? 0)).toBeGreaterThan(990);
  });

  test("call-http tells a synchronous caller of the failure at once", async () => {
    const upstream = await serve(script(unavailable));
    const payload = { url: `http://127.0.0.1:${upstream.port}/` };
    const answer = await execute(flowcall.url, { workflow: "call-http", payload });
    expect(answer).toMatchObject({
      status: 500,
      reason: "WORKFLOW_ERRORED",
      message: { error: { reason: "HTTP_STATUS", node_id: "2", node_name: "Call" } },
    });
    expect(upstream.requests).toHaveLength(1);
  });

  test("careful-call tries once and goes on", async () => {
    const upstream = await serve(script(reset));
    const payload = { url: `http://127.0.0.1:${upstream.port}/` };
    const { message } = await execute(flowcall.url, { workflow: "careful-call", payload });
    expect(message).toMatchObject({ return_value: { status: null, body: null } });
    expect(upstream.requests).toHaveLength(1);
  });

  test("nothing leaves before the execution and what is recorded of it are committed", async () => {
    const upstream = await serve(async (_request, response) => {
      const { rows } = await flowcall.database.query(
        "select state, entries from execution join journal on execution_id = execution.id",
      );
      response.end(JSON.stringify(rows.map(({ state, entries }) => [state, JSON.parse(String(entries)).length])));
    });
    const payload = { url: `http://127.0.0.1:${upstream.port}/` };
    const { message } = await execute(flowcall.url, { workflow: "call-http", payload });
    expect(message).toMatchObject({ return_value: { body: [[null, 1]] } });
  });

  test("environments share no connection", async () => {
    const upstream = await serve();
    const payload = { url: `http://127.0.0.1:${upstream.port}/` };
    for (const key of [testKey, testKey, productionKey, testKey]) {
      await execute(flowcall.url, { workflow: "call-http", payload, key });
    }
    const [first, second, production, last] = upstream.requests.map(({ socket }) => socket);
    expect([second, last]).toEqual([first, first]);
    expect(production).not.toBe(first);
  });
});

test("without an allow list no local address is called: the error says why, and no connection arrives", async () => {
  const flowcall = await startFlowcall();
  try {
    const upstream = await serve();
    for (const host of ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"]) {
      const payload = { url: `http://${host}:${upstream.port}/` };
      const { message } = await execute(flowcall.url, { workflow: "call-http", payload });
      expect(message).toMatchObject({ error: { reason: "EGRESS_REFUSED", node_id: "2" } });
      expect(Object(message).error.message).toContain("FLOWCALL_EGRESS_ALLOW");
    }
    expect(upstream.sockets).toEqual([]);
  } finally {
    await flowcall.stop();
  }
});

describe("a process that is killed between a call and its record leaves one", () => {
  /** Kills it once the given request has come, starts another, and answers how the execution ended. */
  async function endOf({
    definition,
    killAt,
    onRequest,
  }: {
    definition: JsonObject;
    killAt: number;
    onRequest: RequestListener;
  }) {
    const database = await createExampleDatabase();
    const { dataDir, remove } = await makeDataDir();
    const upstream = await serve(onRequest);
    const environment = {
      FLOWCALL_DATABASE_URL: database.url,
      FLOWCALL_EXAMPLES: "false",
      FLOWCALL_TEST_KEY: testKey,
      FLOWCALL_PRODUCTION_KEY: productionKey,
      FLOWCALL_EGRESS_ALLOW: `127.0.0.1:${upstream.port}`,
    };
    let server = await startServerProcess({ dataDir, environment });
    try {
      await putWorkflow(server.url, { alias: "kill", definition });
      const payload = { url: `http://127.0.0.1:${upstream.port}/` };
      const { message } = await execute(server.url, { workflow: "kill", isSync: false, payload });
      const id = Object(message).execution_id;
      await expect.poll(() => upstream.requests.length, { timeout: 10_000 }).toBe(killAt);
      await server.end("SIGKILL");
      server = await startServerProcess({ dataDir, environment });
      const read = `select state, response, error::jsonb ->> 'reason' as reason from execution where id = '${id}'`;
      const end = async () => (await database.query(read)).rows[0];
      await expect.poll(end, { timeout: 20_000 }).toMatchObject({ state: expect.any(String) });
      return { id, requests: upstream.requests, end: await end() };
    } finally {
      await server.end("SIGKILL");
      await remove();
      await database.drop();
    }
  }

  const definition = (settings: JsonObject): JsonObject => ({
    nodes: [
      { id: "1", start: { api_call: {} } },
      { id: "2", settings, http: { method: "POST", url: "{{event.body.url}}", json: "{{event.body.data}}" } },
      { id: "3", response: { data: "{{node.2.status}}" } },
    ],
    edges: [
      { source: "1", target: "2" },
      { source: "2", target: "3" },
    ],
  });

  test("that sends the same again, under the same key", async () => {
    const { id, requests, end } = await endOf({
      definition: definition({ retry: { max_attempts: 2 } }),
      killAt: 2,
      onRequest: script(unavailable, stall, created),
    });
    expect(end).toMatchObject({ state: "COMPLETED", response: "201" });
    expect(keysOf(requests)).toEqual([`${id}:2:0`, `${id}:2:1`, `${id}:2:1`]);
    expect(new Set(requests.map(({ body }) => body)).size).toBe(1);
  }, 60_000);

  test("that does not send what may be sent once at the most", async () => {
    const { requests, end } = await endOf({
      definition: definition({ delivery: "AT_MOST_ONCE" }),
      killAt: 1,
      onRequest: script(stall, created),
    });
    expect(end).toMatchObject({ state: "ERRORED", reason: "OUTCOME_UNKNOWN" });
    expect(requests).toHaveLength(1);
  }, 60_000);
});
