import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { serve } from "../engine/http/outside.ts";
import { productionKey, testKey } from "../support/flowcall.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { makeDataDir } from "../support/server-process.ts";
import type { Failpoint } from "./failpoint.ts";

// More on purpose: TEST_INNOCENTS=200 TEST_POISONS=3 TEST_TIMELINE=1 vitest run test/faults/poison.test.ts
const innocents = Number(process.env["TEST_INNOCENTS"] ?? 12);
const poisons = Number(process.env["TEST_POISONS"] ?? 1);
/** Longer than a process lives that runs poison, so that what it takes with it gets no further. */
const innocentMs = 4_000;

let database: TestDatabase;
let data: Awaited<ReturnType<typeof makeDataDir>>;
let server: ChildProcess | undefined;

beforeEach(async () => {
  database = await createTestDatabase();
  data = await makeDataDir();
});

afterEach(async () => {
  server?.kill("SIGKILL");
  await data.remove();
  await database.drop();
});

/** The service in a process of its own. It begins to run what is there before it says where it is. */
function start(): ChildProcess {
  const neverArmed: Failpoint = { store: "leases", method: "drop", moment: "before" };
  return fork(join(import.meta.dirname, "failing-server.ts"), [JSON.stringify(neverArmed)], {
    env: {
      ...process.env,
      FLOWCALL_PORT: "0",
      FLOWCALL_DATABASE_URL: database.url,
      FLOWCALL_DATA_DIR: data.dataDir,
      FLOWCALL_EXAMPLES: "true",
      FLOWCALL_EGRESS_ALLOW: "127.0.0.1",
      FLOWCALL_TEST_KEY: testKey,
      FLOWCALL_PRODUCTION_KEY: productionKey,
    },
    execArgv: [],
  });
}

async function accept(base: string, url: string): Promise<string> {
  const reply = await fetch(`${base}/api/v1/workflow/call-http/execute`, {
    method: "POST",
    headers: { "x-api-key": testKey, linked_account_id: "john@acme.io", "content-type": "application/json" },
    body: JSON.stringify({ url, data: {} }),
  });
  return String(JSON.parse(await reply.text()).execution_id);
}

test("an execution that kills whoever runs it is ended, and nothing that ran beside it is", async () => {
  const deadly: string[] = [];
  let isArmed = false;
  const upstream = await serve((request, response) => {
    if (request.url === "/poison") {
      deadly.push(String(request.headers["idempotency-key"]));
      if (isArmed) server?.kill("SIGKILL");
      return;
    }
    setTimeout(() => response.writeHead(200, { "content-type": "application/json" }).end("{}"), innocentMs);
  });
  const base = `http://127.0.0.1:${upstream.port}`;
  server = start();
  const [address] = await once(server, "message");
  const url = String(address);
  const beginTime = performance.now();
  const innocent = await Promise.all(Array.from({ length: innocents }, () => accept(url, `${base}/slow`)));
  const poison = await Promise.all(Array.from({ length: poisons }, () => accept(url, `${base}/poison`)));
  while (deadly.length < poisons) await pause(20);
  isArmed = true;
  let starts = 1;
  server.once("exit", function restart() {
    starts += 1;
    server = start();
    server.once("exit", restart);
  });
  server.kill("SIGKILL");
  while ((await database.query("select from execution_claim limit 1")).rows.length > 0) await pause(100);
  server.removeAllListeners("exit");
  const { rows } = await database.query("select id, state, error, end_time from execution");
  const stateOf = new Map(rows.map(({ id, state }) => [String(id), state]));
  expect(innocent.map((id) => stateOf.get(id)).filter((state) => state !== "COMPLETED")).toEqual([]);
  for (const id of poison) {
    const row = rows.find((one) => one["id"] === id);
    expect(row).toMatchObject({ state: "ERRORED", error: expect.stringContaining("EXECUTION_POISONED") });
    expect(deadly.filter((key) => key.startsWith(id)).length).toBeLessThanOrEqual(4);
  }
  if (process.env["TEST_TIMELINE"] !== undefined) {
    const seconds = ((performance.now() - beginTime) / 1000).toFixed(1);
    process.stderr.write(`poison ${poisons}, innocents ${innocents}: ${starts} starts, all over in ${seconds} s\n`);
  }
}, 300_000);
