import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ExecutionService } from "../../../src/gen/flowcall/v1/execution_pb.ts";
import { putWorkflow, testKey } from "../../support/flowcall.ts";
import { assertWithin } from "../bound.ts";
import { awaitedLater, execute, isReady } from "../calls.ts";
import type { FaultCase, FaultRun } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";

/** Long enough for all calls to be in flight. */
const answerMs = 5_000;

/** Fewer than one connection of HTTP/2 takes at a time. */
const callsOfConnection = 50;

const account = "john@acme.io";

export const stopUnderLoad: FaultCase = {
  id: "B5",
  title: "SIGTERM under 200 calls in flight; and a second one",
  run: async (run) => {
    const database = await run.postgres.createExampleDatabase();
    const bed = await TestBed.start({ database, processes: 2, environment: { FLOWCALL_SLOTS: "512" } });
    try {
      const long = await startLong(run, bed);
      const figures = await stopUnderCalls(run, bed);
      await until("the end of all", async () => (await bed.count("execution_claim")) === 0);
      const released = await bed.count(`ledger where epoch > 1 and execution_id in ('${long.join("','")}')`);
      assert.equal(released, long.length, "what had not ended has ended elsewhere");
      const again = [...bed.sink.calls].filter(([, { times }]) => times.length > 1);
      assert.deepEqual(again, [], "no node that was recorded ran again");

      const secondSignalMs = await stopTwice(bed);
      assertWithin(run, secondSignalMs, 1_000, "the end after the second signal");
      await until("the end of all", async () => (await bed.count("execution_claim")) === 0);
      const states = await checkLedger(bed.query, long);
      assert.deepEqual(new Set(states.values()), new Set(["COMPLETED"]));
      return { executions: states.size, lost: 0, doubleResults: 0, ...figures, released, secondSignalMs };
    } finally {
      await bed.stop();
    }
  },
};

/**
 * Starts executions that have recorded a call and will make another one when the process has long stopped. In a full
 * run they keep their slots for longer than it waits for them; in a sample they sleep, which takes none.
 */
async function startLong({ size }: FaultRun, bed: TestBed): Promise<readonly string[]> {
  const { url } = bed.server(0);
  const delays = size === "full" ? Array.from({ length: 30 }, () => "0.9") : ["3"];
  const call = (id: string) => ({ id, http: { method: "POST", url: "{{event.body.url}}", json: "{}" } });
  const middle = delays.map((seconds, index) => ({ id: `d${index}`, delay: { seconds } }));
  const nodes = [{ id: "1", start: { api_call: {} } }, call("first"), ...middle, call("last")];
  const edges = nodes.slice(1).map(({ id }, index) => ({ source: nodes[index]?.id ?? "", target: id }));
  await putWorkflow(url, { alias: "two-calls", definition: { nodes, edges } });
  const payload = { url: bed.sink.url };
  const replies = await Promise.all(Array.from({ length: 20 }, () => execute(url, { workflow: "two-calls", payload })));
  const recorded = `journal where entries like '%"path":"first","node_id":"first","state":"SUCCESS"%'`;
  await until("the first calls to be recorded", async () => (await bed.count(recorded)) === replies.length);
  return replies.map(({ id }) => id);
}

async function stopUnderCalls(run: FaultRun, bed: TestBed) {
  const server = bed.server(0);
  const { url } = server;
  bed.sink.answerMs = answerMs;
  const connections = run.size === "full" ? 4 : 1;
  const session = http2.connect(url);
  const answered = awaitedLater(callOverHttp2(session, bed.sink.url));
  const calls: Promise<unknown>[] = [];
  for (let connection = 0; connection < connections; connection += 1) {
    // One crowd after the other: what is looked at here is how calls end, not how many can begin at once.
    calls.push(...callOverGrpc(url, bed.sink.url));
    await until("calls in flight", () => callsOfExample(bed) === calls.length + 1);
  }
  bed.sink.answerMs = 10;

  const startTime = performance.now();
  const since = async (what: Promise<unknown>) => {
    await what;
    return performance.now() - startTime;
  };
  const goaway = awaitedLater(since(once(session, "goaway")));
  const exited = bed.end(0, "SIGTERM");
  const unready = since(until("that it is not ready", async () => !(await isReady(url).catch(() => false))));
  const told = awaitedLater(since(Promise.all([...calls, answered])));
  const replies = await Promise.allSettled(calls);
  const reset = replies.filter(({ status }) => status === "rejected");
  assert.deepEqual(reset, [], "no call was reset");
  assert.equal(await answered, 200);
  assert.equal(await exited, 0);
  const drainMs = performance.now() - startTime;
  session.destroy();
  const [goawayMs, unreadyMs, repliesMs] = await Promise.all([goaway, unready, told]);
  assertWithin(run, goawayMs, 1_000, "GOAWAY");
  assertWithin(run, unreadyMs, 1_000, "until it was not ready, it");
  assertWithin(run, drainMs, 25_000, "the stop");
  return { calls: calls.length + 1, reset: reset.length, goawayMs, unreadyMs, repliesMs, drainMs };
}

/** The calls of one connection, in flight; each is answered the value of its execution. */
function callOverGrpc(url: string, upstream: string): readonly Promise<unknown>[] {
  const client = createClient(ExecutionService, createGrpcTransport({ baseUrl: url }));
  const request = { workflow: "call-http", linkedAccountId: account, syncExecution: true, payload: { url: upstream } };
  const callOnce = async () => {
    const reply = await client.executeWorkflow(request, { headers: { "x-api-key": testKey } });
    assert.notEqual(reply.returnValue, undefined);
  };
  return Array.from({ length: callsOfConnection }, () => awaitedLater(callOnce()));
}

async function callOverHttp2(session: http2.ClientHttp2Session, upstream: string): Promise<number> {
  const stream = session.request({
    ":method": "POST",
    ":path": "/api/v1/workflow/call-http/execute",
    "x-api-key": testKey,
    linked_account_id: account,
    sync_execution: "true",
    "content-type": "application/json",
  });
  stream.end(JSON.stringify({ url: upstream }));
  const [headers]: [http2.IncomingHttpHeaders] = await once(stream, "response").then(([first]) => [first]);
  await stream.toArray();
  return Number(headers[":status"]);
}

/** Answers how long after the second signal the process has ended, which the first one lets wait for its work. */
async function stopTwice(bed: TestBed): Promise<number> {
  const { url, pid } = await bed.startServer(0);
  const before = callsOfExample(bed);
  bed.sink.answerMs = 60_000;
  await execute(url, { workflow: "call-http", payload: { url: bed.sink.url } });
  await until("a call in flight", () => callsOfExample(bed) > before);
  bed.sink.answerMs = 10;
  process.kill(pid, "SIGTERM");
  await until("that it is not ready", async () => !(await isReady(url).catch(() => false)));
  const startTime = performance.now();
  assert.equal(await bed.end(0, "SIGTERM"), 1);
  return performance.now() - startTime;
}

/** The requests of call-http, which is what all calls but the long executions are of. */
function callsOfExample({ sink }: TestBed): number {
  return [...sink.calls.keys()].filter((key) => key.endsWith(":2:0")).length;
}
