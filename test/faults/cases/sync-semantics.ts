import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { JsonObject } from "@bufbuild/protobuf";
import { ExecutionService } from "../../../src/gen/flowcall/v1/execution_pb.ts";
import { type ApiAnswer, protocolsOf } from "../../api/protocols.ts";
import { putWorkflow, testKey } from "../../support/flowcall.ts";
import { AppBed } from "../app-bed.ts";
import { askResponse, execute } from "../calls.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";
import type { Answer } from "../upstream.ts";

const { executeWorkflow } = ExecutionService.method;
const account = "john@acme.io";

export const syncWithGroup: FaultCase = {
  id: "H1",
  title: "synchronous calls of a workflow with a Group, while connections to Postgres end",
  run: async ({ size, postgres }) => {
    const rounds = size === "full" ? 100 : 5;
    return await AppBed.with({ database: await postgres.createExampleDatabase() }, async (bed, url) => {
      let refused = 0;
      let unavailable = 0;
      for (let round = 0; round < rounds; round += 1) {
        const fields = call("batch-notes", { items: ["a"] }, { sync_execution: true, idempotency_key: `key-${round}` });
        const ending = round % 2 === 0 ? endConnections(bed) : undefined;
        for (const { name, call: send } of protocolsOf(url)) {
          const answer = async () => (await send({ method: executeWorkflow, key: testKey, fields })).reason;
          let reason = await answer();
          for (; reason === "DATABASE_UNAVAILABLE"; reason = await answer()) {
            unavailable += 1;
            await pause(50);
          }
          assert.equal(reason, "SYNC_NOT_ALLOWED_WITH_GROUP", name);
          refused += 1;
        }
        await ending;
      }
      assert.equal(await bed.count("execution"), 0, "nothing was accepted");
      assert.equal(await bed.count("idempotency_key"), 0, "a refused call binds nothing");
      // The last round may have ended a connection that nobody has used since: the next call is told so, and tries again.
      const again = { workflow: "batch-notes", payload: { items: [] }, idempotencyKey: "key-0" };
      await until("the key's free use", async () => (await execute(url, again)).status === 200);
      await until("its end", () => bed.hasDrained());
      return { calls: refused + unavailable, refused, unavailable, rows: 0 };
    });
  },
};

async function endConnections(bed: AppBed): Promise<void> {
  await bed.query(`
    select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'flowcall'`);
}

export const spentWait: FaultCase = {
  id: "H2",
  title: "the wait of a synchronous call is spent, and then its process is killed",
  run: async ({ size, postgres }) => {
    const rounds = size === "full" ? 20 : 1;
    const bed = await TestBed.start({ database: await postgres.createExampleDatabase(), processes: 2 });
    try {
      bed.sink.answerMs = 600_000;
      const { url } = bed.server(0);
      const fields = call("call-http", { url: bed.sink.url, data: {} }, { sync_execution: true, wait: 1 });
      const ids: string[] = [];
      for (let round = 0; round < rounds; round += 1) {
        const answers = protocolsOf(url).map(async ({ name, call: send }) =>
          assertGoesOn(name, await send({ method: executeWorkflow, key: testKey, fields })),
        );
        ids.push(...(await Promise.all(answers)));
      }
      bed.sink.answerMs = 10;
      await bed.kill(0);
      const replies = await Promise.all(ids.map((id) => askResponse(bed.server(1).url, id, { wait: 60 })));
      assert.deepEqual(
        replies.filter(({ status, json }) => status !== 200 || json["status"] !== "COMPLETED"),
        [],
        "the run goes on elsewhere, and its response is there",
      );
      const states = await checkLedger(bed.query, ids);
      return { executions: states.size, kills: 1, lost: 0, doubleResults: 0 };
    } finally {
      await bed.stop();
    }
  },
};

/** Throws where an answer does not say that the execution goes on, and where; answers its id. */
function assertGoesOn(name: string, { message, status, headers, code, reason, text }: ApiAnswer): string {
  const id = headers.get("x-execution-id") ?? "";
  assert.deepEqual(message, { execution_id: id, status: "RUNNING" }, `${name}: ${code} ${reason} ${text}`);
  assert.equal(headers.get("x-execution-status"), "RUNNING");
  if (name !== "REST") {
    return id;
  }
  assert.equal(status, 202);
  assert.equal(headers.get("location"), `/api/v1/execution/${id}/response`);
  assert.notEqual(headers.get("retry-after"), null);
  return id;
}

const attempts = 5;

/** What goes wrong at the API that is called. */
const failures: Readonly<Record<string, Answer>> = {
  // No connection is kept: what breaks on one of those is sent once more within the same attempt.
  refuses: (response) => void response.writeHead(500, { connection: "close" }).end(),
  resets: (response) => void response.destroy(),
  stalls: () => undefined,
};

export const skippedOnce: FaultCase = {
  id: "H3",
  title: "a node that is skipped on error fails in synchronous calls: refused, reset, without an answer",
  run: async ({ size, postgres }) => {
    const rounds = size === "full" ? 20 : 1;
    const environment = { FLOWCALL_HTTP_TIMEOUT_MS: "500" };
    const answer: Answer = (response, request) => failures[String(request.body["fails"])]?.(response, request);
    return await AppBed.with(
      { database: await postgres.createExampleDatabase(), environment, answer },
      async (bed, url) => {
        await putSkippedCall(url);
        const kinds = Object.keys(failures).map((fails) => ({ url: bed.upstream.url, fails }));
        const ids: string[] = [];
        for (let round = 0; round < rounds; round += 1) {
          for (const payload of kinds) {
            const fields = call("skipped-call", payload, { sync_execution: true });
            for (const { name, call: send } of protocolsOf(url)) {
              const { message, headers } = await send({ method: executeWorkflow, key: testKey, fields });
              const id = headers.get("x-execution-id") ?? "";
              assert.deepEqual([name, Object(message).return_value], [name, { status: null }]);
              ids.push(id);
            }
          }
        }
        const later = await Promise.all(kinds.map((payload) => execute(url, { workflow: "skipped-call", payload })));
        await until("the end of all", () => bed.hasDrained());
        const counts = new Map<string, number>();
        for (const { key } of bed.upstream.requests) {
          const [id = ""] = key.split(":");
          counts.set(id, (counts.get(id) ?? 0) + 1);
        }
        assert.deepEqual(
          ids.filter((id) => counts.get(id) !== 1),
          [],
          "a synchronous execution tries the node once",
        );
        assert.deepEqual(
          later.map(({ id }) => counts.get(id)),
          kinds.map(() => attempts),
          "and any other as often as its policy says",
        );
        const states = await checkLedger(bed.query, ids);
        assert.deepEqual(new Set(states.values()), new Set(["COMPLETED"]));
        return { executions: states.size, invocationsSync: 1, invocationsAsync: attempts, lost: 0, doubleResults: 0 };
      },
    );
  },
};

async function putSkippedCall(url: string): Promise<void> {
  const settings = { skip_on_error: true, retry: { max_attempts: attempts, delay_ms: 10 } };
  const nodes = [
    { id: "1", start: { api_call: {} } },
    { id: "2", settings, http: { method: "POST", url: "{{event.body.url}}", json: "{{event.body}}" } },
    { id: "3", response: { data: '{ "status": {{node.2.status}} }' } },
  ];
  const edges = [
    { source: "1", target: "2" },
    { source: "2", target: "3" },
  ];
  await putWorkflow(url, { alias: "skipped-call", definition: { nodes, edges } });
}

function call(workflow: string, payload: JsonObject, more: JsonObject): JsonObject {
  return { workflow, linked_account_id: account, payload, ...more };
}
