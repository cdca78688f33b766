import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { pino } from "pino";
import { App } from "../../../src/app.ts";
import { type Environment, readConfig } from "../../../src/config.ts";
import { productionKey, putWorkflow, testKey } from "../../support/flowcall.ts";
import type { TestDatabase, TestPostgres } from "../../support/postgres.ts";
import { makeDataDir, startServerProcess } from "../../support/server-process.ts";
import type { Composition } from "../composed-server.ts";
import type { Failpoint } from "../failpoint.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger, openLedger } from "../ledger.ts";
import { until } from "../until.ts";

const log = pino({ level: process.env["TEST_LOG"] ?? "silent" });

const parents = 4;
const pointsAtOnce = 2;

/** Between every two commits of parent and child: before, in and behind each that is of both. */
const points: readonly Failpoint[] = [
  { store: "children", method: "find" },
  { store: "children", method: "begin" },
  { store: "children", method: "begin", nth: 3 },
  { store: "claims", method: "suspend", having: "awaits" },
  { store: "signals", method: "read" },
  { store: "children", method: "finish" },
  { store: "children", method: "finish", nth: parents },
  { store: "children", method: "finish", nth: 2 * parents },
].flatMap((point): readonly Failpoint[] =>
  (["before", "during", "after"] as const).map((moment) => ({ ...point, moment }) as Failpoint),
);

/** A parent has one child however its process dies, and goes on with what that answered. */
export const killedSubFlows: FaultCase = {
  id: "A14",
  title: "SIGKILL at each commit of a parent and its child, and a child apart from its parent is caught",
  run: async ({ seed, size, postgres, say }) => {
    const chosen = size === "full" ? points : points.slice(seed % points.length).slice(0, 1);
    const template = await makeTemplate(postgres);
    const left = [...chosen];
    const breaches: string[] = [];
    const tryOn = async () => {
      for (let point = left.pop(); point !== undefined; point = left.pop()) {
        const name = `${point.moment} ${point.store}.${point.method} #${point.nth ?? 1}`;
        const breach = await breachAt(template, postgres, { failpoint: point });
        say(`killed ${name}: ${breach ?? "one child each"}`);
        breaches.push(...(breach === undefined ? [] : [`${name}: ${breach}`]));
      }
    };
    try {
      await Promise.all(Array.from({ length: pointsAtOnce }, tryOn));
      assert.deepEqual(breaches, []);
      if (size === "full") {
        const caught = await breachAt(template, postgres, { mutant: "child-apart" });
        assert.match(String(caught), /^children: /);
        say(`child-apart is caught: ${caught}`);
      }
    } finally {
      await template.drop();
    }
    return { kills: chosen.length, lost: 0, doubleResults: 0 };
  },
};

const child = {
  nodes: [
    { id: "1", start: { api_call: {} } },
    { id: "2", delay: { seconds: "0.3" } },
    { id: "3", response: { data: "{{event.body.n}}" } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3" },
  ],
};

const parent = {
  nodes: [
    { id: "1", start: { api_call: {} } },
    { id: "2", sub_flow: { workflow: "the-child", payload: '{"n": "{{event.body.n}}"}' } },
    { id: "3", response: { data: "{{node.2.body.return_value}}" } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3" },
  ],
};

async function makeTemplate(postgres: TestPostgres): Promise<TestDatabase> {
  const template = await postgres.createExampleDatabase();
  const data = await makeDataDir();
  const app = new App({ config: readConfig(environmentOf(template, data.dataDir)), log });
  await app.start();
  await putWorkflow(app.url, { alias: "the-child", definition: child });
  await putWorkflow(app.url, { alias: "the-parent", definition: parent });
  await app.stop();
  await data.remove();
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

/** Kills a process at a point, and lets another one go on. Answers what did not hold. */
async function breachAt(
  template: TestDatabase,
  postgres: TestPostgres,
  composition: Composition,
): Promise<string | undefined> {
  const database = await postgres.createDatabase(template);
  const data = await makeDataDir();
  const { url, child: server } = await startServerProcess({
    dataDir: data.dataDir,
    program: ["test/faults/composed-server.ts", JSON.stringify(composition)],
    environment: { ...environmentOf(database, data.dataDir), FLOWCALL_LOG_LEVEL: "silent" },
  });
  const exited = once(server, "exit");
  const keys = Array.from({ length: parents }, (_, index) => String(index));
  let survivor: App | undefined;
  try {
    server.send("arm");
    await until("the failpoint to be armed", () => once(server, "message").then(([{ kind }]) => kind === "armed"));
    await Promise.all(keys.map((key) => callParent(url, key).catch(() => undefined)));
    const [, signal] = await Promise.race([exited, pause(20_000, [null, "nothing: the point was not reached"])]);
    assert.equal(signal, "SIGKILL");
    survivor = new App({ config: readConfig(environmentOf(database, data.dataDir)), log });
    await survivor.start();
    await database.query(
      "update lease set expire_time = now() where expire_time < (select max(expire_time) from lease)",
    );
    const again = survivor.url;
    await Promise.all(keys.map((key) => callParent(again, key)));
    const left = async () => (await database.query("select from execution_claim limit 1")).rows.length;
    await until("the end of all", async () => (await left()) === 0);
    return await findBreach(database);
  } finally {
    server.kill("SIGKILL");
    await exited;
    await survivor?.stop();
    await database.drop();
    await data.remove();
  }
}

async function findBreach(database: TestDatabase): Promise<string | undefined> {
  const { rows } = await database.query(
    "select source, state, response, count(*)::int from execution group by source, state, response order by 1, 3",
  );
  const each = (source: string) => rows.filter((row) => row["source"] === source);
  await checkLedger(database.query, []);
  const isEach = (source: string) =>
    each(source).length === parents && each(source).every(({ state, count }) => state === "COMPLETED" && count === 1);
  if (!isEach("API_CALL")) {
    return `parents: ${JSON.stringify(each("API_CALL"))}`;
  }
  return isEach("SUB_FLOW") ? undefined : `children: ${JSON.stringify(each("SUB_FLOW"))}`;
}

async function callParent(url: string, key: string): Promise<void> {
  const reply = await fetch(`${url}/api/v1/workflow/the-parent/execute`, {
    method: "POST",
    headers: {
      "x-api-key": testKey,
      linked_account_id: "john@acme.io",
      "content-type": "application/json",
      "idempotency-key": key,
    },
    body: JSON.stringify({ n: Number(key) }),
  });
  await reply.arrayBuffer();
  assert.equal(reply.status, 200);
}
