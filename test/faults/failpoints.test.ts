import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { App } from "../../src/app.ts";
import { type Environment, readConfig } from "../../src/config.ts";
import { openStores } from "../../src/storage/stores.ts";
import { productionKey, putWorkflow, testKey } from "../support/flowcall.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { makeDataDir } from "../support/server-process.ts";
import { type Failpoint, withFailpoint } from "./failpoint.ts";
import { checkLedger, openLedger } from "./ledger.ts";

const log = pino({ level: process.env["TEST_LOG"] ?? "silent" });

/** The calls at which a process is killed. */
const points: readonly Failpoint[] = [
  ...around({ store: "workflows", method: "resolveCall" }),
  ...around({ store: "executions", method: "begin" }),
  // The slots are few, so that later ones are queued.
  ...around({ store: "executions", method: "begin", nth: 3 }),
  ...around({ store: "executions", method: "recordFinished" }),
  ...around({ store: "executions", method: "append" }),
  ...around({ store: "executions", method: "append", nth: 5 }),
  ...around({ store: "executions", method: "suspend" }),
  ...around({ store: "executions", method: "finish" }),
  ...around({ store: "executions", method: "claim" }),
  ...around({ store: "executions", method: "stop" }),
  ...around({ store: "executions", method: "getQueue" }),
  ...around({ store: "executions", method: "listOwned" }),
  ...around({ store: "leases", method: "renew" }),
  // When the process stops.
  ...around({ store: "executions", method: "release" }),
  ...around({ store: "leases", method: "drop" }),
];

function around(call: Omit<Failpoint, "moment">): readonly Failpoint[] {
  return (["before", "during", "after"] as const).map((moment) => ({ ...call, moment }));
}

/** All of them on purpose: TEST_FAILPOINTS=all TEST_TIMELINE=1 vitest run test/faults/failpoints.test.ts prints the table. */
function sample(all: readonly Failpoint[]): readonly Failpoint[] {
  return process.env["TEST_FAILPOINTS"] === "all" ? all : all.filter((_, index) => index % 8 === 0);
}

const isOfStop = ({ method }: Failpoint) => method === "release" || method === "drop";

let template: TestDatabase;
let data: Awaited<ReturnType<typeof makeDataDir>>;
const table: string[] = [];

beforeAll(async () => {
  data = await makeDataDir();
  template = await createTestDatabase();
  const app = new App({ config: readConfig(environmentOf(template, { FLOWCALL_EXAMPLES: "true" })), log });
  await app.start();
  await putWorkflow(app.url, { alias: "busy-task", definition: delays(2, "0.3") });
  // Longer than a process that stops waits for it, in steps that are too short to sleep through.
  await putWorkflow(app.url, { alias: "long-task", definition: delays(13, "0.9") });
  await app.stop();
  await openLedger(template.query);
});

afterAll(async () => {
  if (process.env["TEST_TIMELINE"] !== undefined) process.stderr.write(`${table.toSorted().join("\n")}\n`);
  await template.drop();
  await data.remove();
});

function environmentOf(database: TestDatabase, more: Environment = {}): Environment {
  return {
    FLOWCALL_PORT: "0",
    FLOWCALL_DATABASE_URL: database.url,
    FLOWCALL_DATA_DIR: data.dataDir,
    FLOWCALL_EXAMPLES: "false",
    FLOWCALL_SLOTS: "2",
    FLOWCALL_TEST_KEY: testKey,
    FLOWCALL_PRODUCTION_KEY: productionKey,
    ...more,
  };
}

/** One Delay after the other. */
function delays(count: number, seconds: string) {
  const ids = Array.from({ length: count }, (_, index) => String(index + 2));
  return {
    nodes: [{ id: "1", start: { api_call: {} } }, ...ids.map((id) => ({ id, delay: { seconds } }))],
    edges: ids.map((target) => ({ source: String(Number(target) - 1), target })),
  };
}

/** What a caller knows of its call: the id that it was told, or only its key. */
type Told = { readonly workflow: string; readonly key: string | undefined; id: string | undefined };

async function call(url: string, told: Told, isSync = false): Promise<void> {
  const reply = await fetch(`${url}/api/v1/workflow/${told.workflow}/execute`, {
    method: "POST",
    headers: {
      "x-api-key": testKey,
      linked_account_id: "john@acme.io",
      "content-type": "application/json",
      sync_execution: String(isSync),
      ...(told.key !== undefined && { "idempotency-key": told.key }),
    },
    body: '{"items": ["one", "two"]}',
  });
  const id = reply.headers.get("x-execution-id") ?? undefined;
  await reply.arrayBuffer();
  if (id === undefined) return;
  expect(reply.status).toBe(200);
  // A key that was told an id is never told another one.
  expect([undefined, id]).toContain(told.id);
  told.id = id;
}

/** Calls that pass through all the points. What fails is as a caller sees it: no answer, or a refusal. */
async function callAll(url: string, isLong: boolean): Promise<readonly Told[]> {
  const known: Told[] = [];
  const tell = async (workflow: string, { isSync = false } = {}) => {
    const told: Told = { workflow, key: isSync ? undefined : randomUUID(), id: undefined };
    known.push(told);
    await call(url, told, isSync).catch(() => undefined);
    return told;
  };
  if (isLong) {
    await Promise.all([tell("long-task"), tell("long-task")]);
    return known;
  }
  await tell("create-task", { isSync: true });
  await tell("busy-task");
  const slow = await tell("slow-task");
  await Promise.all([tell("busy-task"), tell("slow-task"), tell("batch-notes")]);
  const headers = { "x-api-key": testKey };
  await fetch(`${url}/api/v1/execution/${slow.id}/stop`, { method: "POST", headers }).catch(() => undefined);
  return known;
}

/** What all comes to when nothing fails any more: every call with a key is accepted, and all has ended, once. */
async function settle(name: string, url: string, database: TestDatabase, known: readonly Told[]): Promise<void> {
  for (const told of known) while (told.key !== undefined && told.id === undefined) await call(url, told);
  while ((await database.query("select from execution_claim limit 1")).rows.length > 0) await pause(50);
  const ids = known.flatMap(({ id }) => id ?? []);
  const states = await checkLedger(database.query, ids);
  const keys = known.filter(({ key }) => key !== undefined).length;
  const { rows } = await database.query("select count(*)::int as count from idempotency_key");
  expect(rows).toEqual([{ count: keys }]);
  expect([...states.values()].filter((state) => state !== "COMPLETED" && state !== "STOPPED")).toEqual([]);
  const [epochs] = (await database.query("select max(epoch)::int as epoch from ledger")).rows;
  const ended = Object.entries(Object.groupBy(states.values(), String)).map(
    ([key, all = []]) => `${all.length} ${key}`,
  );
  table.push(`${name}: ${ended.join(", ")}; told ${ids.length}; at the most ${epochs?.["epoch"]} epochs`);
}

function nameOf({ store, method, moment, nth }: Failpoint): string {
  return `${moment} ${store}.${method}${nth === undefined ? "" : ` #${nth}`}`;
}

async function copyTemplate(): Promise<TestDatabase> {
  return await createTestDatabase(template.connection.database);
}

async function startSurvivor(database: TestDatabase): Promise<App> {
  const app = new App({ config: readConfig(environmentOf(database)), log });
  await app.start();
  return app;
}

describe.concurrent("a process that is killed loses nothing, and what goes on elsewhere ends once", () => {
  for (const point of sample(points)) {
    test(nameOf(point), { timeout: 120_000 }, async () => {
      const database = await copyTemplate();
      const child = fork(join(import.meta.dirname, "failing-server.ts"), [JSON.stringify(point)], {
        env: { ...process.env, ...environmentOf(database) },
        execArgv: [],
      });
      const exited = once(child, "exit");
      const [url] = await once(child, "message");
      child.send("arm");
      await once(child, "message");
      const known = await callAll(String(url), isOfStop(point));
      if (isOfStop(point)) child.send("stop");
      const [, signal] = await exited;
      expect(signal).toBe("SIGKILL");

      const survivor = await startSurvivor(database);
      // The lease of the dead process runs out.
      await database.query(
        "update lease set expire_time = now() where expire_time < (select max(expire_time) from lease)",
      );
      await settle(`killed ${nameOf(point)}`, survivor.url, database, known);
      await survivor.stop();
      await database.drop();
    });
  }
});

describe.concurrent("a connection that is lost at a call loses nothing, and nothing ends twice", () => {
  for (const point of sample(points.filter(({ moment }) => moment !== "during"))) {
    test(nameOf(point), { timeout: 120_000 }, async () => {
      const database = await copyTemplate();
      const failed = Promise.withResolvers<void>();
      let arm = () => {};
      const app = new App({
        config: readConfig(environmentOf(database)),
        log,
        open: (opened) => {
          const failing = withFailpoint(openStores(opened), point, () => {
            failed.resolve();
            throw Object.assign(new Error("the connection was lost"), { code: "ECONNRESET" });
          });
          arm = failing.arm;
          return failing.stores;
        },
      });
      await app.start();
      arm();
      const known = await callAll(app.url, isOfStop(point));
      if (isOfStop(point)) await app.stop().catch(() => undefined);
      await failed.promise;
      const survivor = isOfStop(point) ? await startSurvivor(database) : app;
      await settle(`lost ${nameOf(point)}`, survivor.url, database, known);
      await survivor.stop();
      await database.drop();
    });
  }
});
