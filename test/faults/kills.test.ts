import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { serve } from "../engine/http/outside.ts";
import { productionKey, testKey } from "../support/flowcall.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { makeDataDir, type ServerProcess, startServerProcess } from "../support/server-process.ts";
import { checkLedger, openLedger } from "./ledger.ts";

// More of both on purpose: TEST_CALLS=1000 TEST_KILLS=10 vitest run test/faults/kills.test.ts
const calls = Number(process.env["TEST_CALLS"] ?? 150);
const kills = Number(process.env["TEST_KILLS"] ?? 3);
const slots = 16;
const upstreamMs = 20;

let database: TestDatabase;
let data: Awaited<ReturnType<typeof makeDataDir>>;
let server: ServerProcess | undefined;

beforeEach(async () => {
  database = await createTestDatabase();
  data = await makeDataDir();
});

afterEach(async () => {
  await server?.end("SIGKILL");
  await data.remove();
  await database.drop();
});

async function start(): Promise<ServerProcess> {
  server = await startServerProcess({
    dataDir: data.dataDir,
    environment: {
      FLOWCALL_DATABASE_URL: database.url,
      FLOWCALL_EXAMPLES: "true",
      FLOWCALL_SLOTS: String(slots),
      FLOWCALL_EGRESS_ALLOW: "127.0.0.1",
      FLOWCALL_TEST_KEY: testKey,
      FLOWCALL_PRODUCTION_KEY: productionKey,
    },
  });
  return server;
}

const headers = { "x-api-key": testKey, linked_account_id: "john@acme.io", "content-type": "application/json" };

/** Calls until it is accepted, whatever happens to the server; answers the execution's id. */
async function accept(index: number, url: string): Promise<string> {
  for (;;) {
    const base = server?.url;
    try {
      const reply = await fetch(`${base}/api/v1/workflow/call-http/execute`, {
        method: "POST",
        headers: { ...headers, "idempotency-key": `call-${index}` },
        body: JSON.stringify({ url, data: { index } }),
      });
      const { execution_id } = JSON.parse(await reply.text());
      if (reply.status === 200) return String(execution_id);
    } catch {
      // The server was killed, or is not there yet.
    }
    await pause(20);
  }
}

async function count(sql: string): Promise<number> {
  const { rows } = await database.query(`select count(*)::int as count from ${sql}`);
  return Number(rows[0]?.["count"]);
}

test(`${calls} calls of an HTTP API end once each, though their process is killed ${kills} times`, async () => {
  const sent: { readonly key: string; readonly time: number }[] = [];
  const upstream = await serve((request, response) => {
    sent.push({ key: String(request.headers["idempotency-key"]), time: Date.now() });
    setTimeout(() => response.writeHead(200, { "content-type": "application/json" }).end("{}"), upstreamMs);
  });
  await start();
  await openLedger((sql) => database.query(sql));
  const url = `http://127.0.0.1:${upstream.port}/`;
  const accepting = Promise.all(Array.from({ length: calls }, (_, index) => accept(index, url)));
  for (let kill = 1; kill <= kills; kill += 1) {
    // When a fair share has ended and others are under way.
    const share = Math.floor((calls * kill) / (kills + 1));
    while ((await count("execution where state is not null")) < share) await pause(5);
    await server?.end("SIGKILL");
    server = undefined;
    await start();
  }
  const ids = await accepting;
  while ((await count("execution_claim")) > 0) await pause(20);

  expect(new Set(ids).size).toBe(calls);
  const states = await checkLedger((sql) => database.query(sql), ids);
  expect([...states].filter(([, state]) => state !== "COMPLETED")).toEqual([]);
  expect(states.size).toBe(calls);

  // One key for each execution, sent again only by a process that did not know of an answer.
  const keys = new Set(sent.map(({ key }) => key));
  expect([...keys].toSorted()).toEqual(ids.map((id) => `${id}:2:0`).toSorted());
  const extra = sent.length - keys.size;
  expect(extra).toBeLessThanOrEqual(kills * slots);
  const { rows } = await database.query(
    `select execution_id, extract(epoch from min(create_time)) * 1000 as time from journal
      where entries like '%"path":"2","node_id":"2","state":"SUCCESS"%' group by 1`,
  );
  const recorded = new Map(rows.map(({ execution_id, time }) => [`${execution_id}:2:0`, Number(time)]));
  expect(recorded.size).toBe(calls);
  expect(sent.filter(({ key, time }) => time > (recorded.get(key) ?? 0))).toEqual([]);
  if (process.env["TEST_TIMELINE"] !== undefined) {
    const most = Math.max(...[...Map.groupBy(sent, ({ key }) => key).values()].map(({ length }) => length));
    process.stderr.write(
      `calls ${calls}, kills ${kills}, lost 0, ended twice 0, extra sends ${extra}, most for a key ${most}\n`,
    );
  }
}, 300_000);
