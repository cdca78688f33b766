// What waiting, replaying and long workflows cost, each beside something else in the same run. Run it with:
//
//   node --expose-gc bench/execution.ts
//
// It starts a service on a Postgres of its own in a folder under the system's temporary one, and prints four lines: the
// heap that 10,000 waiters hold and the statements that a second of their waiting costs; a replay of a journal of 5,000
// entries; the CPU of a synchronous call of a chain of 10 nodes beside the example `create-task`; and how soon a failing
// synchronous call answers.

import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import pg from "pg";
import { pino } from "pino";
import { App } from "../src/app.ts";
import { readConfig } from "../src/config.ts";
import { systemClock } from "../src/domain/clock.ts";
import { EventLoopYielder } from "../src/domain/event-loop-yielder.ts";
import type { NewExecution, NodeRun } from "../src/domain/execution.ts";
import type { JsonText } from "../src/domain/json/json-text.ts";
import { defaultLimits } from "../src/domain/limits.ts";
import { compileGraph } from "../src/engine/compile/compile-graph.ts";
import { parseEgressAllow } from "../src/engine/http/egress-allow-list.ts";
import { HttpClient } from "../src/engine/http/http-client.ts";
import { ProcessPool } from "../src/engine/pool/process-pool.ts";
import { runGraph } from "../src/engine/run/run-graph.ts";
import { WorkflowDefinitionSchema } from "../src/gen/flowcall/v1/definition_pb.ts";
import { Sealing } from "../src/scheduler/encryption/sealing.ts";
import { MemoryBudget } from "../src/scheduler/limits/memory-budget.ts";
import { ExecutionWriter } from "../src/scheduler/run/execution-writer.ts";
import { RunJournal } from "../src/scheduler/run/run-journal.ts";
import { createSchedulerEvents } from "../src/scheduler/run/scheduler-events.ts";
import { Waiters } from "../src/scheduler/waiting/waiters.ts";
import { EmbeddedPostgres } from "../src/storage/embedded/embedded-postgres.ts";
import type { UnreadEnd } from "../src/storage/executions/execution-results.ts";
import { ExecutionStore } from "../src/storage/executions/execution-store.ts";
import { Database } from "../src/storage/postgres/database.ts";
import { noConnections, noVariables } from "../test/engine/workflow.ts";

const waitersCount = 10_000;
const entriesCount = 5_000;
const callsPerTurn = 400;
const turns = 6;

const log = pino({ level: "silent" });
const key = "tk00000000-0000-4000-8000-000000000001";
const folder = await mkdtemp(join(tmpdir(), "flowcall-bench-"));
// Where this runs as root the database does not.
await chmod(folder, 0o755);
const postgres = new EmbeddedPostgres({ dataDir: join(folder, "data"), log });
await postgres.start();
const { connection } = postgres;
const database = new Database({ connection: () => connection, log });
await database.start();
try {
  await measureWaiters();
  await measureReplay();
  await measureCalls();
} finally {
  await database.stop();
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
}

function heapMb(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 1024 ** 2;
}

async function measureWaiters(): Promise<void> {
  let statements = 0;
  const store = new ExecutionStore(database.db);
  const executions = Object.create(store, {
    listEnded: {
      value: (ids: readonly string[]) => {
        statements += 1;
        return store.listEnded(ids);
      },
    },
    readEnded: { value: (next: () => UnreadEnd | undefined) => store.readEnded(next) },
  });
  const waiters = new Waiters({
    executions,
    runs: { has: () => false, ids: [], supersede: () => undefined },
    events: createSchedulerEvents(),
    clock: systemClock,
    log,
  });
  await waiters.start();
  const before = heapMb();
  const { signal } = new AbortController();
  const waits = Array.from({ length: waitersCount }, (_, index) =>
    waiters.wait(index.toString(16).padStart(24, "0"), 60_000, signal),
  );
  const held = heapMb() - before;
  statements = 0;
  const start = performance.now();
  await pause(5_000);
  const perSecond = statements / ((performance.now() - start) / 1000);
  await waiters.stop();
  await Promise.all(waits);
  print(`${waitersCount} waiters: ${held.toFixed(1)} MB of heap, ${perSecond.toFixed(1)} statements a second`);
}

async function measureReplay(): Promise<void> {
  const nodes = [
    { id: "1", start: { api_call: {} } },
    { id: "2", group: { count: String(entriesCount / 2 - 2), output: "{{node.3.body}}" } },
    { id: "3", group_id: "2", transform: { query: "{{node.2.body.iteration_count}}" } },
    { id: "4", response: { data: '"{{node.2.body.0}}"' } },
  ];
  const edges = [
    { source: "1", target: "2" },
    { source: "2", target: "3", port: "each" },
    { source: "2", target: "4", port: "next" },
  ];
  const { graph } = compileGraph(fromJson(WorkflowDefinitionSchema, { nodes, edges }), defaultLimits);
  if (graph === undefined) {
    throw new Error("the definition of the replay does not compile");
  }
  const records: NodeRun[] = [];
  const execution: NewExecution = {
    id: "0".repeat(24),
    organizationId: "0".repeat(24),
    environmentId: "0".repeat(24),
    workflowId: "0".repeat(24),
    version: 1,
    linkedAccountId: "john@acme.io",
    configId: "john@acme.io",
    type: "ASYNC",
    source: "API_CALL",
    // Texts of JSON.
    payload: "{}" as JsonText,
    headers: "{}" as JsonText,
  };
  const http = new HttpClient({ allow: parseEgressAllow("") });
  const compute = { pool: new ProcessPool(defaultLimits), yielder: new EventLoopYielder() };
  const run = async (earlier: readonly NodeRun[]): Promise<number> => {
    const { signal } = new AbortController();
    const writer = new ExecutionWriter({
      execution,
      owner: "bench",
      children: { finish: async () => ({ stopped: [] }) },
      isOfFamily: false,
      signals: { read: async () => "none", close: async () => "closed" },
      executions: {
        begin: async () => undefined,
        recordFinished: async () => true,
        append: async ({ runs }) => {
          if (earlier.length === 0) {
            records.push(...runs);
          }
          return true;
        },
        finish: async () => true,
      },
      claims: { suspend: async () => true, defer: async () => true },
      sealing: new Sealing(() => []),
      hidesNodes: false,
      findAnswer: () => undefined,
      events: createSchedulerEvents(),
      isUnavailable: () => false,
      clock: systemClock,
      signal,
    });
    const journal = new RunJournal({
      writer,
      clock: systemClock,
      acceptTime: 0,
      lease: { isHeld: () => true, whenHeld: async () => undefined, databaseNow: () => undefined },
      isUnavailable: () => false,
      limits: defaultLimits,
      openMemory: () => new MemoryBudget(defaultLimits).open("acme", "a"),
      onEnd: () => {
        throw new Error("the replay was interrupted");
      },
    });
    journal.replay(earlier);
    const start = performance.now();
    await runGraph(graph, {
      ...compute,
      executionId: execution.id,
      organizationId: execution.organizationId,
      environmentId: execution.environmentId,
      http,
      connections: noConnections,
      variables: noVariables,
      type: "ASYNC",
      event: { body: {}, headers: {} },
      linkedAccount: {},
      workflowFields: {},
      applicationFields: {},
      limits: defaultLimits,
      clock: systemClock,
      journal,
      signal,
    });
    const ms = performance.now() - start;
    if (earlier.length === 0) {
      records.push(...(await journal.drain()));
    }
    journal.close();
    return ms;
  };
  const fresh = await run([]);
  const replays: number[] = [];
  // Without the record of the Group itself, which would answer for all inside of it.
  const earlier = records.filter(({ path }) => path !== "2" && path !== "4");
  for (let turn = 0; turn < turns; turn += 1) {
    replays.push(await run(earlier));
  }
  print(
    `a replay of ${earlier.length} entries: ${median(replays).toFixed(0)} ms; the run itself ${fresh.toFixed(0)} ms`,
  );
}

async function measureCalls(): Promise<void> {
  const config = readConfig({
    FLOWCALL_PORT: "0",
    FLOWCALL_DATABASE_URL: await createUrl(),
    FLOWCALL_EXAMPLES: "true",
    FLOWCALL_DATA_DIR: join(folder, "app"),
    FLOWCALL_TEST_KEY: key,
  });
  const app = new App({ config, log });
  await app.start();
  try {
    const chain = Array.from({ length: 8 }, (_, index) => ({
      id: `t${index}`,
      transform: { query: `{{event.body}}` },
    }));
    const nodes = [{ id: "s", start: { api_call: {} } }, ...chain, { id: "r", response: { data: "{{node.t7.body}}" } }];
    const edges = nodes.slice(1).map(({ id }, index) => ({ source: nodes[index]?.id ?? "", target: id }));
    await put(app.url, "chain", { nodes, edges });
    await calls(app.url, "create-task");
    await calls(app.url, "chain");
    const ratios: number[] = [];
    for (let turn = 0; turn < turns; turn += 1) {
      const page = await calls(app.url, "create-task");
      ratios.push((await calls(app.url, "chain")).cpu / page.cpu);
    }
    print(`a chain of 10 nodes: ${median(ratios).toFixed(2)} x the CPU of create-task, client included`);
    const { times } = await calls(app.url, "always-fails");
    const p95 = times.toSorted((one, other) => one - other)[Math.floor(times.length * 0.95)] ?? 0;
    print(
      `a failing synchronous call at 16 callers: p95 ${p95.toFixed(0)} ms of a budget of ${defaultLimits.syncWaitMs} ms`,
    );
  } finally {
    await app.stop();
  }
}

async function createUrl(): Promise<string> {
  if ("url" in connection) {
    throw new Error("the embedded database has no URL");
  }
  const client = new pg.Client(connection);
  await client.connect();
  await client.query("create database bench");
  await client.end();
  return `postgres://${connection.user}@localhost/bench?host=${encodeURIComponent(String(connection.host))}&port=${connection.port}`;
}

async function put(url: string, alias: string, definition: JsonObject): Promise<void> {
  const headers = { "x-api-key": key, "content-type": "application/json" };
  const send = async (method: string, path: string, body?: JsonObject) => {
    const reply = await fetch(`${url}/api/v1/workflow${path}`, { method, headers, body: JSON.stringify(body ?? {}) });
    if (!reply.ok) {
      throw new Error(await reply.text());
    }
    await reply.arrayBuffer();
  };
  await send("POST", "", { slug: "asana", alias, name: alias });
  await send("PUT", `/${alias}/draft`, definition);
  await send("POST", `/${alias}/publish`);
}

/** Synchronous calls of a workflow, 16 at a time. */
async function calls(
  url: string,
  workflow: string,
): Promise<{ readonly cpu: number; readonly times: readonly number[] }> {
  const headers = {
    "x-api-key": key,
    linked_account_id: "john@acme.io",
    sync_execution: "true",
    "content-type": "application/json",
  };
  const body = JSON.stringify({ "Task Name": "Sample task", Created_at: "2024-2-1", Assigned_to: "John Doe" });
  const times: number[] = [];
  const start = process.cpuUsage();
  let left = callsPerTurn;
  const caller = async () => {
    while (left > 0) {
      left -= 1;
      const sent = performance.now();
      const reply = await fetch(`${url}/api/v1/workflow/${workflow}/execute`, { method: "POST", headers, body });
      await reply.arrayBuffer();
      times.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: 16 }, caller));
  const { user, system } = process.cpuUsage(start);
  return { cpu: user + system, times };
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
