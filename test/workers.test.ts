import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readConfig } from "../src/config.ts";
import { defaultLimits } from "../src/domain/limits.ts";
import { defaultServerLimits } from "../src/server/limits/server-limits.ts";
import { until } from "./support/eventually.ts";
import { testKey } from "./support/flowcall.ts";
import { createExampleDatabase, type TestDatabase } from "./support/postgres.ts";
import { makeDataDir, type ServerProcess, startServerProcess } from "./support/server-process.ts";

describe("the limits of each of several workers", () => {
  const at = (workers: string, more = {}) => readConfig({ FLOWCALL_WORKERS: workers, ...more });

  test("are a part of what one process may hold, and the whole of what one request, node or execution may be", () => {
    const { limits, serverLimits } = at("2");
    expect(limits.slots).toBe(defaultLimits.slots / 2);
    expect(limits.recordsMemoryBytesMax).toBe(defaultLimits.recordsMemoryBytesMax / 2);
    expect(serverLimits.connectionsMax).toBe(defaultServerLimits.connectionsMax / 2);
    expect(serverLimits.bodyBytesMax).toBe(defaultServerLimits.bodyBytesMax / 2);
    expect(limits.payload).toEqual(defaultLimits.payload);
    expect(limits.queueMax).toBe(defaultLimits.queueMax);
    expect(serverLimits.connectionBodyBytesMax).toBe(defaultServerLimits.connectionBodyBytesMax);
  });

  test("are never less than a worker needs, nor more than is set", () => {
    const { limits, serverLimits } = at("4", { FLOWCALL_SLOTS: "3", FLOWCALL_POOL_KEPT: "0", FLOWCALL_CALLS: "20" });
    expect([limits.slots, limits.poolKept, limits.poolChildren]).toEqual([1, 0, 2]);
    expect([serverLimits.callsMax, serverLimits.keyBodyBytesMax]).toEqual([20, 32 * 1024 ** 2]);
  });
});

/** Processes start one after the other here, on a machine that may be busy. */
const patience = { withinMs: 60_000 };

describe("two workers", { timeout: 120_000 }, () => {
  let database: TestDatabase;
  let data: Awaited<ReturnType<typeof makeDataDir>>;
  let server: ServerProcess;
  const log: string[] = [];

  beforeAll(async () => {
    database = await createExampleDatabase();
    data = await makeDataDir();
    server = await startServerProcess({
      dataDir: data.dataDir,
      stderr: "pipe",
      environment: {
        FLOWCALL_WORKERS: "2",
        FLOWCALL_WORKER_TIMEOUT_MS: "1000",
        FLOWCALL_DATABASE_URL: database.url,
        FLOWCALL_ENCRYPTION_KEYS: Buffer.alloc(32, 1).toString("base64"),
        FLOWCALL_POOL_KEPT: "0",
        FLOWCALL_LOG_LEVEL: "info",
        FLOWCALL_METRICS_PORT: "0",
      },
    });
    if (server.child.stderr) {
      createInterface(server.child.stderr).on("line", (line) => log.push(line));
    }
  });

  afterAll(async () => {
    await server?.end("SIGKILL");
    await data.remove();
    await database.drop();
  });

  /** The processes that hold a lease; the name of each has its id. */
  async function workerPids(): Promise<readonly number[]> {
    const { rows } = await database.query("select process from lease where expire_time > now() order by process");
    return rows.map(({ process }) => Number(String(process).split(" ")[2]));
  }

  async function untilTwoBut(...gone: readonly number[]): Promise<readonly number[]> {
    let pids: readonly number[] = [];
    await until(
      "two workers hold a lease, and none of those before",
      async () => {
        pids = await workerPids();
        return pids.length === 2 && !pids.some((pid) => gone.includes(pid));
      },
      patience,
    );
    return pids;
  }

  /** A synchronous call on a connection of its own. */
  async function call(): Promise<number> {
    const reply = await fetch(`${server.url}/api/v1/workflow/create-task/execute`, {
      method: "POST",
      headers: {
        connection: "close",
        "x-api-key": testKey,
        linked_account_id: "john@acme.io",
        sync_execution: "true",
        "content-type": "application/json",
      },
      body: "{}",
    });
    await reply.text();
    return reply.status;
  }

  async function replies(count: number): Promise<readonly number[]> {
    return await Promise.all(Array.from({ length: count }, call));
  }

  test("serve calls when the ready file says so, each with a lease of its own, and not the first process", async () => {
    const pids = await untilTwoBut();
    expect(server.pid).toBe(server.child.pid);
    expect(pids).not.toContain(server.pid);
    expect(new Set(await replies(20))).toEqual(new Set([200]));
  });

  test("are replaced one after the other on SIGHUP, and no call is refused or lost meanwhile", async () => {
    const before = await untilTwoBut();
    process.kill(server.pid, "SIGHUP");
    let isReplaced = false;
    const statuses = new Set<number>();
    const calling = (async () => {
      while (!isReplaced) {
        statuses.add(await call());
      }
    })();
    const isDone = () => log.some((line) => line.includes("all workers are replaced"));
    await until("the log says that it is done", isDone, patience).finally(() => {
      isReplaced = true;
    });
    await calling;
    await untilTwoBut(...before);
    expect(statuses).toEqual(new Set([200]));
  });

  test("are one scrape, whose counters stay when a worker is replaced or does not answer", async () => {
    const url = /"url":"([^"]+)","msg":"metrics are served"/.exec(log.join("\n"))?.[1] ?? "";
    const scrape = async (name: string) => {
      const text = await (await fetch(url)).text();
      return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
    };
    const completed = String.raw`flowcall_executions_ended_total\{state="COMPLETED",type="SYNC"\}`;
    const before = await scrape(completed);
    await replies(20);
    expect(await scrape(completed)).toBe(before + 20);
    expect([await scrape("flowcall_workers"), await scrape("flowcall_slots")]).toEqual([2, 256]);
    const [killed = 0] = await untilTwoBut();
    process.kill(killed, "SIGKILL");
    await untilTwoBut(killed);
    await replies(3);
    expect(await scrape(completed)).toBe(before + 23);
  });

  test("are replaced when one hangs, and the other one serves meanwhile", async () => {
    const [hung = 0] = await untilTwoBut();
    process.kill(hung, "SIGSTOP");
    expect(new Set(await replies(10))).toEqual(new Set([200]));
    await until("the hung worker is killed", () => log.some((line) => line.includes("a worker hangs and is killed")));
    await untilTwoBut(hung);
  });

  test("are replaced when they die, and end the service with its cause when one dies three times within a minute", async () => {
    const ended = once(server.child, "exit");
    const killAll = (pids: readonly number[]) => pids.map((pid) => process.kill(pid, "SIGKILL"));
    const first = await untilTwoBut();
    killAll(first);
    const second = await untilTwoBut(...first);
    // A worker holds its lease before it listens, and nobody listens where all were killed at once.
    await until("it is served again", async () => (await call()) === 200, patience);
    killAll(second);
    expect(await ended).toEqual([1, null]);
    await until("it is said", () => log.some((line) => line.includes("Flowcall ends: a worker died 3 times")));
  });
});
