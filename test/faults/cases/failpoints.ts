import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { pino } from "pino";
import { App } from "../../../src/app.ts";
import { type Environment, readConfig } from "../../../src/config.ts";
import { openStores } from "../../../src/storage/stores.ts";
import { productionKey, putWorkflow, testKey } from "../../support/flowcall.ts";
import type { TestDatabase, TestPostgres } from "../../support/postgres.ts";
import { makeDataDir, startServerProcess } from "../../support/server-process.ts";
import type { Composition } from "../composed-server.ts";
import { type Failpoint, withFailpoint } from "../failpoint.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger, openLedger } from "../ledger.ts";
import { until } from "../until.ts";

const log = pino({ level: process.env["TEST_LOG"] ?? "silent" });

/** Points at a time: most of each is waiting. */
const pointsAtOnce = 4;

/** How long a point that the calls lead to may take to be reached, before they are made again. */
const againMs = 3_000;

/** A sample takes one point of so many. */
const sampleEvery = 12;

/** The calls at which a process is killed. */
const points: readonly Failpoint[] = [
  ...around({ store: "workflows", method: "resolveCall" }),
  ...around({ store: "executions", method: "begin" }),
  // The slots are few, so that later ones are queued.
  ...around({ store: "executions", method: "begin", nth: 3 }),
  ...around({ store: "executions", method: "recordFinished" }),
  ...around({ store: "executions", method: "append" }),
  ...around({ store: "executions", method: "append", nth: 5 }),
  ...around({ store: "claims", method: "suspend" }),
  ...around({ store: "executions", method: "finish" }),
  ...around({ store: "claims", method: "claim" }),
  ...around({ store: "executions", method: "stop" }),
  ...around({ store: "queue", method: "count" }),
  ...around({ store: "claims", method: "listOwned" }),
  ...around({ store: "leases", method: "renew" }),
  // When the process stops.
  ...around({ store: "claims", method: "release" }),
  ...around({ store: "leases", method: "drop" }),
];

function around(call: Omit<Failpoint, "moment">): readonly Failpoint[] {
  return (["before", "during", "after"] as const).map((moment) => ({ ...call, moment }));
}

type Trial = {
  readonly point: Failpoint;
  readonly template: TestDatabase;
  readonly postgres: TestPostgres;
  readonly dataDir: string;
};

/** Each of a process's calls of its stores is the last one once, and the one whose connection is lost. */
export const failpoints: FaultCase = {
  id: "A2",
  title: "SIGKILL, and a lost connection, at each call of a store",
  run: async ({ seed, size, postgres, say }) => {
    const chosen = (all: readonly Failpoint[]) =>
      size === "full" ? all : all.filter((_, index) => (index + seed) % sampleEvery === 0);
    const trials = [
      ...chosen(points).map((point) => ({ what: `killed ${nameOf(point)}`, trial: killAt, point })),
      // What is lost during a call is lost before it or after it.
      ...chosen(points.filter(({ moment }) => moment !== "during")).map((point) => ({
        what: `lost ${nameOf(point)}`,
        trial: loseConnectionAt,
        point,
      })),
    ];
    const { dataDir, remove } = await makeDataDir();
    const template = await makeTemplate(postgres, dataDir);
    const failures: unknown[] = [];
    const left = [...trials];
    let executions = 0;
    const tryOn = async () => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) {
        const { what, trial, point } = next;
        try {
          const states = await trial({ point, template, postgres, dataDir });
          executions += states.length;
          say(
            `${what}: ${Object.entries(Object.groupBy(states, String)).map(([state, all = []]) => `${all.length} ${state}`)}`,
          );
        } catch (error) {
          failures.push(new Error(what, { cause: error }));
        }
      }
    };
    await Promise.all(Array.from({ length: pointsAtOnce }, tryOn));
    await template.drop();
    await remove();
    if (failures.length > 0) {
      throw new AggregateError(failures, failures.map(textOf).join("\n"));
    }
    return { executions, points: trials.length, kills: chosen(points).length, lost: 0, doubleResults: 0 };
  },
};

function textOf(error: unknown): string {
  return error instanceof Error && error.cause !== undefined ? `${error.message}: ${error.cause}` : String(error);
}

function nameOf({ store, method, moment, nth }: Failpoint): string {
  return `${moment} ${store}.${method}${nth === undefined ? "" : ` #${nth}`}`;
}

function isOfStop({ method }: Failpoint): boolean {
  return method === "release" || method === "drop";
}

async function makeTemplate(postgres: TestPostgres, dataDir: string): Promise<TestDatabase> {
  const template = await postgres.createExampleDatabase();
  const app = new App({ config: readConfig(environmentOf(template, dataDir)), log });
  await app.start();
  await putWorkflow(app.url, { alias: "busy-task", definition: delays(2, "0.3") });
  // Longer than a process that stops waits for it, in steps that are too short to sleep through.
  await putWorkflow(app.url, { alias: "long-task", definition: delays(13, "0.9") });
  await app.stop();
  await openLedger(template.query);
  return template;
}

function environmentOf(database: TestDatabase, dataDir: string): Environment {
  return {
    FLOWCALL_PORT: "0",
    FLOWCALL_DATABASE_URL: database.url,
    FLOWCALL_DATA_DIR: dataDir,
    FLOWCALL_EXAMPLES: "false",
    FLOWCALL_POOL_KEPT: "0",
    FLOWCALL_SLOTS: "2",
    FLOWCALL_TEST_KEY: testKey,
    FLOWCALL_PRODUCTION_KEY: productionKey,
  };
}

async function killAt({ point, template, postgres, dataDir }: Trial): Promise<readonly unknown[]> {
  const database = await postgres.createDatabase(template);
  const data = await makeDataDir();
  const composition: Composition = { failpoint: point };
  const { url, child } = await startServerProcess({
    dataDir: data.dataDir,
    program: ["test/faults/composed-server.ts", JSON.stringify(composition)],
    environment: { ...environmentOf(database, data.dataDir), FLOWCALL_LOG_LEVEL: "silent" },
  });
  const exited = once(child, "exit");
  try {
    child.send("arm");
    await until("the failpoint to be armed", () => once(child, "message").then(([{ kind }]) => kind === "armed"));
    const known = await callUntil(exited, { url, point, stop: () => child.send("stop") });
    const [, signal] = await exited;
    assert.equal(signal, "SIGKILL");
    const survivor = await startSurvivor(database, dataDir);
    // The lease of the dead process runs out.
    await database.query(
      "update lease set expire_time = now() where expire_time < (select max(expire_time) from lease)",
    );
    return await settle(survivor, database, known);
  } finally {
    child.kill("SIGKILL");
    await exited;
    await database.drop();
    await data.remove();
  }
}

async function loseConnectionAt({ point, template, postgres, dataDir }: Trial): Promise<readonly unknown[]> {
  const database = await postgres.createDatabase(template);
  const failed = Promise.withResolvers<void>();
  let arm = () => {};
  const app = new App({
    config: readConfig(environmentOf(database, dataDir)),
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
  try {
    await app.start();
    arm();
    const stop = () => app.stop().catch(() => undefined);
    const known = await callUntil(failed.promise, { url: app.url, point, stop });
    await failed.promise;
    return await settle(isOfStop(point) ? await startSurvivor(database, dataDir) : app, database, known);
  } finally {
    await app.stop().catch(() => undefined);
    await database.drop();
  }
}

async function startSurvivor(database: TestDatabase, dataDir: string): Promise<App> {
  const app = new App({ config: readConfig(environmentOf(database, dataDir)), log });
  await app.start();
  return app;
}

/** What all comes to when nothing fails any more: every call with a key is accepted, and all has ended, once. */
async function settle(survivor: App, database: TestDatabase, known: readonly Told[]): Promise<readonly unknown[]> {
  try {
    for (const told of known) {
      await until("the call to be accepted", async () => {
        if (told.key !== undefined && told.id === undefined) {
          await call(survivor.url, told);
        }
        return told.key === undefined || told.id !== undefined;
      });
    }
    const claims = async () => (await database.query("select from execution_claim limit 1")).rows.length;
    await until("the end of all", async () => (await claims()) === 0);
    const states = await checkLedger(
      database.query,
      known.flatMap(({ id }) => id ?? []),
    );
    const keys = known.filter(({ key }) => key !== undefined).length;
    const { rows } = await database.query("select count(*)::int as count from idempotency_key");
    assert.equal(rows[0]?.["count"], keys);
    const wrong = [...states].filter(([, state]) => state !== "COMPLETED" && state !== "STOPPED");
    assert.deepEqual(wrong, []);
    return [...states.values()];
  } finally {
    await survivor.stop();
  }
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
  if (id === undefined) {
    return;
  }
  assert.equal(reply.status, 200);
  // A key that was told an id is never told another one.
  assert.ok(told.id === undefined || told.id === id, `${told.key} was told ${told.id} and ${id}`);
  told.id = id;
}

type Calls = { readonly url: string; readonly point: Failpoint; readonly stop: () => unknown };

/** Calls until a point is reached. What is slow is recorded when it begins, and passes through other points than what is fast. */
async function callUntil(reached: Promise<unknown>, { url, point, stop }: Calls): Promise<readonly Told[]> {
  const known = [...(await callAll(url, isOfStop(point)))];
  if (isOfStop(point)) {
    await stop();
  } else {
    while (!(await isWithin(againMs, reached))) {
      known.push(...(await callAll(url, false)));
    }
  }
  return known;
}

async function isWithin(ms: number, reached: Promise<unknown>): Promise<boolean> {
  return await Promise.race([reached.then(() => true), pause(ms, false)]);
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
