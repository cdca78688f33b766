import { PassThrough } from "node:stream";
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { LogSink } from "../src/process/log-sink.ts";
import { type Flowcall, startFlowcall, testKey } from "./support/flowcall.ts";
import { createExampleDatabase } from "./support/postgres.ts";
import { makeDataDir, startServerProcess } from "./support/server-process.ts";

type Line = Readonly<Record<string, unknown>>;

const headers = {
  "x-api-key": testKey,
  linked_account_id: "john@acme.io",
  slug: "asana",
  "content-type": "application/json",
};

function execute(url: string, workflow: string, more: Readonly<Record<string, string>> = {}): Promise<Response> {
  const path = `${url}/api/v1/workflow/${workflow}/execute`;
  return fetch(path, { method: "POST", headers: { ...headers, ...more }, body: "{}" });
}

/** Runs a call of one workflow that fails and of one that completes, and gives the log. */
async function logOf(which?: string): Promise<{ readonly lines: readonly Line[]; readonly ids: readonly string[] }> {
  const lines: Line[] = [];
  const log = pino({ level: "debug" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  let flowcall: Flowcall | undefined;
  try {
    flowcall = await startFlowcall(which === undefined ? {} : { FLOWCALL_LOG_EXECUTIONS: which }, log);
    const failed = await execute(flowcall.url, "always-fails", { sync_execution: "true", "x-request-id": "of-failed" });
    const done = await execute(flowcall.url, "create-task", { prefer: "wait=10", "x-request-id": "of-done" });
    await Promise.all([failed.text(), done.text()]);
    const ids = [failed, done].map((reply) => reply.headers.get("x-execution-id") ?? "");
    return { lines, ids };
  } finally {
    await flowcall?.stop();
  }
}

const byId = (lines: readonly Line[], id: string | undefined, msg: RegExp) =>
  lines.filter((line) => line["executionId"] === id && msg.test(String(line["msg"])));

describe("the log", () => {
  test("has a line for an execution that fails, with its reason, node and ids, and none of its data", async () => {
    const { lines, ids } = await logOf();
    const [failed, done] = ids;
    const [line, ...others] = byId(lines, failed, /^an execution/);
    expect(others).toEqual([]);
    expect(line).toMatchObject({
      msg: "an execution failed",
      level: 40,
      state: "ERRORED",
      type: "SYNC",
      source: "API_CALL",
      version: 1,
      linkedAccountId: "john@acme.io",
    });
    for (const name of ["reason", "nodeId", "nodeName", "workflowId", "organizationId", "environmentId", "ms"]) {
      expect(line).toHaveProperty(name);
    }
    expect(line).not.toHaveProperty("message");
    expect(byId(lines, done, /^an execution/)).toEqual([]);
  });

  test("names caller and execution on the line of each request", async () => {
    const { lines, ids } = await logOf("none");
    for (const [index, requestId] of ["of-failed", "of-done"].entries()) {
      const line = lines.find((one) => one["msg"] === "request" && one["requestId"] === requestId);
      expect(line).toMatchObject({ executionId: ids[index], method: "POST" });
      expect(line).toHaveProperty("organizationId");
      expect(line).toHaveProperty("environmentId");
      expect(line).toHaveProperty("keyId");
    }
    expect(lines.filter(({ msg }) => /^an execution/.test(String(msg)))).toEqual([]);
  });

  test("has a line for every execution that ends, where it is asked for", async () => {
    const { lines, ids } = await logOf("all");
    expect(byId(lines, ids[1], /^an execution completed$/)).toMatchObject([{ level: 30, state: "COMPLETED" }]);
    expect(byId(lines, ids[0], /^an execution failed$/)).toHaveLength(1);
  });

  test("leaves lines out while nobody takes them, and says how many when somebody does", () => {
    const stream = new PassThrough({ highWaterMark: 16 });
    const sink = new LogSink(stream);
    const reports: number[] = [];
    sink.onRelief((lines) => void reports.push(lines));
    const line = "x".repeat(1024);
    for (let count = 0; count < 1_500; count += 1) {
      sink.write(line);
    }
    expect(stream.writableLength).toBeLessThan(1.1 * 1024 ** 2);
    return new Promise<void>((resolve) => {
      stream.on("drain", () => {
        expect(reports).toHaveLength(1);
        expect(reports[0]).toBeGreaterThan(400);
        resolve();
      });
      stream.resume();
    });
  });

  test("goes nowhere when its reader is gone, and the process lives on", async () => {
    const stream = new PassThrough();
    const sink = new LogSink(stream);
    stream.destroy(new Error("EPIPE"));
    await new Promise((resolve) => stream.once("close", resolve));
    expect(() => sink.write("a line\n")).not.toThrow();
  });

  test("holds up no call and no stop where its reader hangs", { timeout: 60_000 }, async () => {
    const database = await createExampleDatabase();
    const data = await makeDataDir();
    try {
      // Nobody reads the pipe: it takes some hundred KiB, and the log of these calls is several times that.
      const server = await startServerProcess({
        dataDir: data.dataDir,
        stderr: "pipe",
        environment: {
          FLOWCALL_DATABASE_URL: database.url,
          FLOWCALL_LOG_LEVEL: "debug",
          FLOWCALL_POOL_KEPT: "0",
        },
      });
      server.child.stderr?.pause();
      const path = `${server.url}/api/v1/workflow/${"x".repeat(4_000)}`;
      for (let round = 0; round < 40; round += 1) {
        const replies = await Promise.all(Array.from({ length: 16 }, () => fetch(path, { headers })));
        expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([400]));
        await Promise.all(replies.map((reply) => reply.text()));
      }
      expect((await execute(server.url, "create-task", { sync_execution: "true" })).status).toBe(200);
      expect(await server.end("SIGTERM")).toBe(0);
    } finally {
      await data.remove();
      await database.drop();
    }
  });
});
