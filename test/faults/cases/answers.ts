import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { WorkflowDefinitionSchema } from "../../../src/gen/flowcall/v1/definition_pb.ts";
import { ExecutionService } from "../../../src/gen/flowcall/v1/execution_pb.ts";
import { WorkflowService } from "../../../src/gen/flowcall/v1/workflow_pb.ts";
import { protocolsOf } from "../../api/protocols.ts";
import { putWorkflow, testKey } from "../../support/flowcall.ts";
import { askResponse, awaitedLater, execute } from "../calls.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";
import { neverAnswer, Upstream } from "../upstream.ts";

const { executeWorkflow, getExecutionResponse } = ExecutionService.method;
const account = "john@acme.io";

export const queuedResponse: FaultCase = {
  id: "H4",
  title: "the responses of queued executions are asked for at two processes, of which one is killed",
  run: async ({ size, postgres }) => {
    const count = size === "full" ? 50 : 5;
    const environment = { FLOWCALL_SLOTS: "1", FLOWCALL_HTTP_TIMEOUT_MS: "600000" };
    const bed = await TestBed.start({ database: await postgres.createExampleDatabase(), processes: 2, environment });
    const upstream = await Upstream.start(neverAnswer);
    try {
      await occupy(bed, upstream);
      const { url } = bed.server(0);
      const asked = await Promise.all(
        Array.from({ length: count }, async () => {
          const { id } = await execute(url, { workflow: "create-task" });
          const first = await Promise.all(bed.urls.map((each) => askResponse(each, id)));
          assert.ok(first.every(({ status, json }) => status === 200 && json["status"] === "RUNNING"));
          return { id, answers: awaitedLater(followResponse(bed, id)) };
        }),
      );
      assert.equal(await bed.count("execution_claim where owner is null"), count, "they are queued");
      await bed.kill(0);
      upstream.letGo();
      for (const { id, answers } of asked) {
        const statuses = await answers;
        assert.deepEqual(statuses, [...statuses.slice(1).map(() => "RUNNING"), "COMPLETED"]);
        // I7: who saw the end never sees anything else again.
        for (const each of bed.urls) {
          assert.equal((await askResponse(each, id)).json["status"], "COMPLETED");
        }
      }
      await until("the end of all", async () => (await bed.count("execution_claim")) === 0);
      const states = await checkLedger(
        bed.query,
        asked.map(({ id }) => id),
      );
      return { executions: states.size, kills: 1, lost: 0, doubleResults: 0 };
    } finally {
      await upstream.stop();
      await bed.stop();
    }
  },
};

/** Lets an execution keep the slot of each process until the API lets go of it. */
async function occupy(bed: TestBed, upstream: Upstream): Promise<void> {
  for (const [index, url] of bed.urls.entries()) {
    await execute(url, { workflow: "call-http", payload: { url: upstream.url, data: {} } });
    await until("a slot to be taken", () => upstream.requests.length > index);
  }
}

/** All that is answered until the end, by one process after the other. */
async function followResponse(bed: TestBed, id: string): Promise<readonly unknown[]> {
  const statuses: unknown[] = [];
  while (statuses.at(-1) !== "COMPLETED") {
    for (const url of bed.urls) {
      // One that is killed in the middle of its answer has none.
      const reply = await askResponse(url, id).catch(() => undefined);
      if (reply === undefined) {
        continue;
      }
      assert.equal(reply.status, 200, `${id} was not found`);
      statuses.push(reply.json["status"]);
      if (reply.json["status"] !== "RUNNING") {
        break;
      }
    }
    await pause(20);
  }
  return statuses;
}

/** The last node of each workflow, and what it fails with. */
const lastNodes: Readonly<Record<string, JsonObject>> = {
  EXPRESSION_ERROR: { transform: { query: '$error("no such colour")' } },
  TERMINATED: { terminate: { result: "ERROR", message: "enough" } },
  HTTP_STATUS: { http: { method: "POST", url: "{{event.body.url}}", json: "{}" } },
  DELAY_INVALID: { delay: { seconds: "{{event.body.url}}" } },
};

export const stableErrors: FaultCase = {
  id: "H5",
  title: "executions fail, some of them after their process was killed",
  run: async ({ postgres }) => {
    const bed = await TestBed.start({ database: await postgres.createExampleDatabase(), processes: 2 });
    try {
      const { url } = bed.server(0);
      for (const [reason, node] of Object.entries(lastNodes)) {
        await putWorkflow(url, { alias: reason, definition: callThen({ id: "last", name: "The last one", ...node }) });
      }
      // It takes no POST.
      const payload = { url: `${bed.server(1).url}/healthz`, sink: bed.sink.url };
      const reasons = Object.keys(lastNodes);
      const told = new Map<string, unknown>();
      for (const reason of reasons) {
        told.set(reason, await errorEverywhere(url, reason, payload));
      }

      bed.sink.answerMs = 600_000;
      const before = bed.sink.total;
      const replies = await Promise.all(reasons.map((workflow) => execute(url, { workflow, payload })));
      await until("calls in flight", () => bed.sink.total === before + replies.length);
      bed.sink.answerMs = 10;
      await bed.kill(0);
      for (const [index, { id }] of replies.entries()) {
        const { json } = await askResponse(bed.server(1).url, id, { wait: 60 });
        assert.deepEqual(
          comparable(json["error"]),
          told.get(reasons[index] ?? ""),
          "it fails as one whose process lived",
        );
      }
      await until("the end of all", async () => (await bed.count("execution_claim")) === 0);
      const states = await checkLedger(
        bed.query,
        replies.map(({ id }) => id),
      );
      assert.deepEqual(new Set(states.values()), new Set(["ERRORED"]));
      return { executions: states.size, reasons: reasons.length, kills: 1, lost: 0, doubleResults: 0 };
    } finally {
      await bed.stop();
    }
  },
};

/** The error that a synchronous call is told on every protocol, and whoever asks for the response after it. */
async function errorEverywhere(url: string, reason: string, payload: JsonObject): Promise<unknown> {
  const errors: unknown[] = [];
  for (const { call } of protocolsOf(url)) {
    const fields = { workflow: reason, linked_account_id: account, sync_execution: true, payload };
    const { message, headers } = await call({ method: executeWorkflow, key: testKey, fields });
    const response = { execution_id: headers.get("x-execution-id"), linked_account_id: account };
    const asked = await call({ method: getExecutionResponse, key: testKey, fields: response });
    errors.push(comparable(Object(message).error), comparable(Object(asked.message).error));
  }
  const [first] = errors;
  for (const error of errors) {
    assert.deepEqual(error, first);
  }
  const { reason: told, node_id, node_name } = Object(first);
  assert.deepEqual({ told, node_id, node_name }, { told: reason, node_id: "last", node_name: "The last one" });
  return first;
}

/** An error without the id that the called server gave its request, which no two answers share. */
function comparable(error: unknown): unknown {
  const { body, ...rest } = Object(error);
  if (body === undefined) {
    return error;
  }
  const { request_id: _, ...stable } = Object(body);
  return { ...rest, body: stable };
}

/** A call, which can be waited for, and then a node. */
function callThen(last: JsonObject): JsonObject {
  const nodes = [
    { id: "1", start: { api_call: {} } },
    { id: "call", http: { method: "POST", url: "{{event.body.sink}}", json: "{}" } },
    last,
  ];
  const edges = [
    { source: "1", target: "call" },
    { source: "call", target: String(last["id"]) },
  ];
  return { nodes, edges };
}

export const editedWorkflow: FaultCase = {
  id: "H6",
  title: "a workflow is published anew, twice, while executions of it run and their process is killed",
  run: async ({ size, postgres }) => {
    const count = size === "full" ? 100 : 5;
    const bed = await TestBed.start({ database: await postgres.createExampleDatabase(), processes: 2 });
    try {
      const [first, second] = bed.urls as readonly [string, string];
      const workflow = await putWorkflow(first, { alias: "edited", definition: answering(1) });
      const payload = { sink: bed.sink.url };
      const callOf = { workflow: "edited", payload };
      bed.sink.answerMs = 600_000;
      const replies = await Promise.all(Array.from({ length: count }, () => execute(first, callOf)));
      await until("calls in flight", () => bed.sink.total === count);
      bed.sink.answerMs = 10;
      for (const version of [2, 3]) {
        await republish(second, workflow, version);
        for (const url of bed.urls) {
          const { json } = await execute(url, { ...callOf, isSync: true });
          assert.equal(json["return_value"], version, "a new call runs the new version");
        }
      }
      await bed.kill(0);
      for (const { id } of replies) {
        const { json } = await askResponse(second, id, { wait: 60 });
        assert.deepEqual(json, { response: 1, status: "COMPLETED" }, "an execution keeps its version");
      }
      await until("the end of all", async () => (await bed.count("execution_claim")) === 0);
      const states = await checkLedger(
        bed.query,
        replies.map(({ id }) => id),
      );
      return { executions: states.size, versions: 3, kills: 1, lost: 0, doubleResults: 0 };
    } finally {
      await bed.stop();
    }
  },
};

function answering(version: number): JsonObject {
  return callThen({ id: "answer", response: { data: String(version) } });
}

async function republish(url: string, workflow: string, version: number): Promise<void> {
  const client = createClient(WorkflowService, createGrpcTransport({ baseUrl: url }));
  const headers = { "x-api-key": testKey };
  const definition = fromJson(WorkflowDefinitionSchema, answering(version));
  await client.saveDraft({ workflow, definition }, { headers });
  await client.publishWorkflow({ workflow }, { headers });
}
