import { join } from "node:path";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, describe, test } from "vitest";
import { App } from "../../src/app.ts";
import { readConfig } from "../../src/config.ts";
import { productionKey, testKey } from "../support/flowcall.ts";
import { makeDataDir } from "../support/server-process.ts";
import { isReady, putBusyTask } from "./calls.ts";
import { Clients } from "./clients.ts";
import { openLedger, type Query } from "./ledger.ts";
import { Line } from "./line.ts";
import { type OwnPostgres, startOwnPostgres } from "./own-postgres.ts";
import { checkReplies } from "./replies.ts";
import { until } from "./until.ts";

const log = pino({ level: process.env["TEST_LOG"] ?? "silent" });

let data: Awaited<ReturnType<typeof makeDataDir>>;
let postgres: OwnPostgres;
let line: Line;
let app: App | undefined;
let query: Query;
let cases = 0;

beforeAll(async () => {
  data = await makeDataDir();
  postgres = await startOwnPostgres();
});

afterAll(async () => {
  await postgres.stop();
  await data.remove();
});

afterEach(async () => {
  await app?.stop();
  await line.set("cut");
});

/** A service on a database of its own, behind a line. */
async function start(): Promise<App> {
  cases += 1;
  const database = await postgres.createExampleDatabase();
  query = database.query;
  line = new Line(postgres.connection);
  await line.set("open");
  const config = readConfig({
    FLOWCALL_PORT: "0",
    FLOWCALL_DATABASE_URL: `postgres://${postgres.connection.user}@127.0.0.1:${line.port}/${database.connection.database}`,
    FLOWCALL_DATA_DIR: join(data.dataDir, String(cases)),
    FLOWCALL_EXAMPLES: "false",
    FLOWCALL_TEST_KEY: testKey,
    FLOWCALL_PRODUCTION_KEY: productionKey,
  });
  const started = new App({ config, log });
  app = started;
  await started.start();
  await openLedger(query);
  await putBusyTask(started.url);
  return started;
}

/** Waits for the end of all, and holds every reply against it. */
async function checkAll(clients: Clients): Promise<void> {
  const isOver = async () => (await query("select from execution_claim limit 1")).rows.length === 0;
  await until("no execution goes on", isOver);
  await checkReplies(query, clients);
}

function print(what: string, times: Readonly<Record<string, number>>): void {
  const text = Object.entries(times).map(([name, value]) => `${name} ${Math.round(value)}`);
  if (process.env["TEST_TIMELINE"] !== undefined) {
    process.stderr.write(`the database ${what}: ${text.join(", ")}\n`);
  }
}

describe("a database that comes and goes", () => {
  test("when it crashes again and again, nothing is lost and nothing ends twice", async () => {
    const { url } = await start();
    const clients = new Clients(url, 10);
    const times: Record<string, number> = {};
    for (let round = 0; round < 4; round += 1) {
      const before = clients.ids.size;
      await until("30 more calls are answered", () => clients.ids.size >= before + 30);
      await postgres.crash();
      times[`unreadyMs${round}`] = await until("it is not ready", async () => !(await isReady(url)), { everyMs: 10 });
      times[`readyMs${round}`] = await until("it is ready", () => isReady(url), { everyMs: 10 });
    }
    await clients.stop();
    await checkAll(clients);
    print("crashes", { ...times, calls: clients.replies.length });
  }, 90_000);

  test("when it ends every connection again and again, the process lives, and goes on at once", async () => {
    const { url } = await start();
    const clients = new Clients(url, 10);
    const end =
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    for (let round = 0; round < 20; round += 1) {
      const before = clients.ids.size;
      await until("5 more calls are answered", () => clients.ids.size >= before + 5);
      await query(end);
    }
    const readyMs = await until("it is ready", () => isReady(url), { everyMs: 10 });
    await clients.stop();
    await checkAll(clients);
    const refused = clients.replies.filter(({ status }) => status === 503).length;
    print("ends connections", { readyMs, refused, calls: clients.replies.length });
  }, 90_000);
});
