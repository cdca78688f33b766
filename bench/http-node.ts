// What an HTTP node costs beside a bare undici call to the same server, as CPU of this process, in turns, in one run. The
// server is a process of its own; no database is there, since commits are shared and not the node's own. Run it with:
//
//   node bench/http-node.ts
//
// It prints microseconds of CPU, the best and the median of all turns: of a bare call, of a run of Start alone, of a run
// of Start and an HTTP node, and how many bare calls the whole run, and the node by itself, are. At most 2 is the aim.

import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { Agent } from "undici";
import { systemClock } from "../src/domain/clock.ts";
import { EventLoopYielder } from "../src/domain/event-loop-yielder.ts";
import { defaultLimits } from "../src/domain/limits.ts";
import { compileGraph } from "../src/engine/compile/compile-graph.ts";
import { parseEgressAllow } from "../src/engine/http/egress-allow-list.ts";
import { HttpClient } from "../src/engine/http/http-client.ts";
import type { Journal } from "../src/engine/journal/journal.ts";
import { ProcessPool } from "../src/engine/pool/process-pool.ts";
import { runGraph } from "../src/engine/run/run-graph.ts";
import { WorkflowDefinitionSchema } from "../src/gen/flowcall/v1/definition_pb.ts";
import { noConnections, noVariables } from "../test/engine/workflow.ts";

const turns = 18;
const warmUps = 3;
const callsPerTurn = 2_000;
const concurrency = 16;

const data = { name: "Ada", items: [1, 2, 3], note: "A note of some length, as a payload has." };

/** Answers what it was sent. */
function serve(): void {
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    request.pipe(response);
  });
  server.listen(0, "127.0.0.1", () => process.send?.(server.address()));
}

async function measure(): Promise<void> {
  const child = fork(import.meta.filename, ["serve"]);
  const [{ port }] = await once(child, "message");
  const origin = `http://127.0.0.1:${port}`;
  const agent = new Agent({ connections: 128, pipelining: 1 });
  const client = new HttpClient({ allow: parseEgressAllow(`127.0.0.1:${port}`) });
  await client.start();
  const calls = {
    bare: () => callBare(agent, origin),
    start: createRun(client, []),
    run: createRun(client, [httpNode(origin)]),
  };
  const costs: Record<keyof typeof calls, number[]> = { bare: [], start: [], run: [] };
  for (let turn = 0; turn < turns; turn += 1) {
    for (const name of ["bare", "start", "run"] as const) {
      const cost = await cpuOf(calls[name]);
      if (turn >= warmUps) {
        costs[name].push(cost);
      }
    }
  }
  const [bare, start, run] = [summary(costs.bare), summary(costs.start), summary(costs.run)];
  const ratio = (of: keyof typeof bare) => ({ run: run[of] / bare[of], node: (run[of] - start[of]) / bare[of] });
  const result = { bare, start, run, bareCalls: { best: ratio("best"), median: ratio("median") } };
  process.stdout.write(`${JSON.stringify(result, round, 2)}\n`);
  await client.stop();
  await agent.destroy();
  child.kill();
}

async function callBare(agent: Agent, origin: string): Promise<void> {
  const headers = { "content-type": "application/json" };
  const { statusCode, body } = await agent.request({
    origin,
    path: "/a?b=c",
    method: "POST",
    headers,
    body: JSON.stringify(data),
  });
  await body.json();
  if (statusCode !== 200) {
    throw new Error(`the server answered ${statusCode}`);
  }
}

function httpNode(origin: string): JsonObject {
  const query = [{ key: "b", value: "{{event.body.b}}" }];
  return { id: "2", http: { method: "POST", url: `${origin}/a`, query, json: "{{event.body.data}}" } };
}

/** Runs Start and a node behind it, if there is one. */
function createRun(client: HttpClient, nodes: readonly JsonObject[]): () => Promise<void> {
  const { graph, errors } = compileGraph(
    fromJson(WorkflowDefinitionSchema, {
      nodes: [{ id: "1", start: { api_call: {} } }, ...nodes],
      edges: nodes.map(({ id = null }) => ({ source: "1", target: id })),
    }),
    defaultLimits,
  );
  if (graph === undefined) {
    throw new Error(errors.map(({ message }) => message).join("\n"));
  }
  return async () => {
    const outcome = await runGraph(graph, {
      ...compute,
      executionId: "0123456789abcdef01234567",
      organizationId: "organization",
      environmentId: "76543210fedcba9876543210",
      type: "ASYNC",
      event: { body: { b: "c", data }, headers: {} },
      linkedAccount: {},
      workflowFields: {},
      applicationFields: {},
      limits: defaultLimits,
      clock: systemClock,
      http: client,
      connections: noConnections,
      variables: noVariables,
      journal,
      signal: new AbortController().signal,
    });
    if (outcome.state !== "COMPLETED") {
      throw new Error(JSON.stringify(outcome.error));
    }
  };
}

const compute = { pool: new ProcessPool(defaultLimits), yielder: new EventLoopYielder() };

/** Keeps nothing. */
const journal: Journal = {
  isReplay: false,
  recall: () => undefined,
  positionOf: () => 0,
  record: () => true,
  recordEnd: () => undefined,
  beganAt: () => undefined,
  enter: () => undefined,
  leave: () => undefined,
  wait: async (_path, ms) => ({ ms, tookMs: ms }),
  waitForSignal: async () => undefined,
  work: (piece) => piece(),
  beforeEffect: async () => undefined,
};

/** Microseconds of CPU per call. */
async function cpuOf(call: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  let left = callsPerTurn;
  const lane = async () => {
    while (left > 0) {
      left -= 1;
      await call();
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / callsPerTurn;
}

function summary(costs: readonly number[]) {
  const sorted = costs.toSorted((left, right) => left - right);
  return { best: sorted[0] ?? 0, median: sorted[Math.floor(sorted.length / 2)] ?? 0 };
}

function round(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Math.round(value * 100) / 100 : value;
}

if (process.argv[2] === "serve") {
  serve();
} else {
  await measure();
}
