import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { until } from "./support/eventually.ts";
import { productionKey, putWorkflow, testKey } from "./support/flowcall.ts";
import { createExampleDatabase, type TestDatabase } from "./support/postgres.ts";
import { makeDataDir, type ServerProcess, startServerProcess } from "./support/server-process.ts";

const count = 500;

let database: TestDatabase;
let data: Awaited<ReturnType<typeof makeDataDir>>;
let server: ServerProcess | undefined;

beforeEach(async () => {
  database = await createExampleDatabase();
  data = await makeDataDir();
});

afterEach(async () => {
  await server?.end("SIGKILL");
  await data.remove();
  await database.drop();
});

async function start(slots = 256): Promise<ServerProcess> {
  server = await startServerProcess({
    dataDir: data.dataDir,
    environment: {
      FLOWCALL_DATABASE_URL: database.url,
      FLOWCALL_EXAMPLES: "false",
      FLOWCALL_SLOTS: String(slots),
      FLOWCALL_TEST_KEY: testKey,
      FLOWCALL_PRODUCTION_KEY: productionKey,
    },
  });
  return server;
}

const headers = {
  "x-api-key": testKey,
  linked_account_id: "john@acme.io",
  "content-type": "application/json",
};

async function accept(url: string, workflow = "slow-task"): Promise<string> {
  const reply = await fetch(`${url}/api/v1/workflow/${workflow}/execute`, { method: "POST", headers, body: "{}" });
  const { execution_id } = JSON.parse(await reply.text());
  return execution_id;
}

async function countRows(sql: string): Promise<number> {
  const { rows } = await database.query(`select count(*)::int as count from ${sql}`);
  return Number(rows[0]?.["count"]);
}

describe("a process that is killed loses nothing that it accepted", () => {
  test(`${count} executions under way end after a restart, each once`, { timeout: 60_000 }, async () => {
    // Most wait for a time when the process is killed, however slowly the machine accepts them.
    const first = await start(100);
    const nodes = [
      { id: "1", start: { api_call: {} } },
      { id: "2", delay: { seconds: "10" } },
      { id: "3", response: { data: '"{{node.2.body}}"' } },
    ];
    const edges = [
      { source: "1", target: "2" },
      { source: "2", target: "3" },
    ];
    await putWorkflow(first.url, { alias: "ten-seconds", definition: { nodes, edges } });
    const ids = await Promise.all(Array.from({ length: count }, () => accept(first.url, "ten-seconds")));
    await first.end("SIGKILL");
    server = undefined;
    expect(new Set(ids).size).toBe(count);
    expect(await countRows("execution_claim")).toBeGreaterThan(count / 4);

    const second = await start();
    await until("no execution goes on", async () => (await countRows("execution_claim")) === 0, {
      withinMs: 60_000,
    });
    const answers = await Promise.all(
      ids.map(async (id) => (await fetch(`${second.url}/api/v1/execution/${id}/response`, { headers })).json()),
    );
    // What waits through the change of its process may be woken late, and says so.
    const expected = {
      response: expect.stringMatching(/^Waited for [1-9]\d+(?:\.\d+)? seconds\.$/),
      status: "COMPLETED",
    };
    expect(answers).toEqual(ids.map(() => expected));
    expect(await countRows("execution where state = 'COMPLETED'")).toBe(count);
    expect(await countRows("execution")).toBe(count);
  });

  test("a process that is told to stop lets what runs end, and then ends itself", { timeout: 60_000 }, async () => {
    const { url, end } = await start();
    // A Delay that is too short to sleep through.
    const nodes = [
      { id: "1", start: { api_call: {} } },
      { id: "2", delay: { seconds: "0.9" } },
    ];
    await putWorkflow(url, { alias: "busy-task", definition: { nodes, edges: [{ source: "1", target: "2" }] } });
    await Promise.all(Array.from({ length: 20 }, () => accept(url, "busy-task")));
    expect(await end("SIGTERM")).toBe(0);
    server = undefined;
    expect(await countRows("execution where state = 'COMPLETED'")).toBe(20);
    expect(await countRows("lease")).toBe(0);
  });

  test("a second signal ends it at once, and what it ran is left for another", { timeout: 60_000 }, async () => {
    const { url, pid, end } = await start();
    const nodes = Array.from({ length: 20 }, (_, index) => ({ id: String(index + 2), delay: { seconds: "0.9" } }));
    const edges = nodes.map(({ id }) => ({ source: String(Number(id) - 1), target: id }));
    const definition = { nodes: [{ id: "1", start: { api_call: {} } }, ...nodes], edges };
    await putWorkflow(url, { alias: "long-task", definition });
    await accept(url, "long-task");
    const ended = end("SIGTERM");
    const isReady = () =>
      fetch(`${url}/readyz`)
        .then(({ ok }) => ok)
        .catch(() => false);
    await until("it stops to be ready", async () => !(await isReady()));
    process.kill(pid, "SIGTERM");
    expect(await ended).toBe(1);
    server = undefined;
    expect(await countRows("execution_claim where owner is not null")).toBe(1);
  });
});
