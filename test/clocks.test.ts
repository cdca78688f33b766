import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../src/gen/flowcall/v1/execution_pb.ts";
import { executionCalls } from "./api/execution-calls.ts";
import { putWorkflow, testKey } from "./support/flowcall.ts";
import { createExampleDatabase, type TestDatabase } from "./support/postgres.ts";
import { makeDataDir, type ServerProcess, startServerProcess } from "./support/server-process.ts";

/** Of Debian's package `faketime`: shifts the clock that a program sees. */
const library = `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/faketime/libfaketime.so.1`;
const isMissing = !existsSync(library);
if (isMissing && process.env["CI"] !== undefined) {
  throw new Error("CI has no libfaketime");
}

describe.skipIf(isMissing)(
  "three processes, of which one has a clock that is an hour behind and one that is an hour ahead",
  () => {
    let database: TestDatabase;
    const servers: ServerProcess[] = [];
    const folders: Awaited<ReturnType<typeof makeDataDir>>[] = [];

    beforeAll(async () => {
      database = await createExampleDatabase();
      const shifted = { LD_PRELOAD: library, FAKETIME_DONT_FAKE_MONOTONIC: "1" };
      for (const clock of [{}, { ...shifted, FAKETIME: "-3600" }, { ...shifted, FAKETIME: "+3600" }]) {
        const folder = await makeDataDir();
        folders.push(folder);
        const environment = {
          ...clock,
          FLOWCALL_DATABASE_URL: database.url,
          FLOWCALL_EXAMPLES: "false",
          FLOWCALL_TEST_KEY: testKey,
          FLOWCALL_ENCRYPTION_KEYS: Buffer.alloc(32, 1).toString("base64"),
        };
        servers.push(await startServerProcess({ dataDir: folder.dataDir, environment }));
      }
    }, 120_000);

    afterAll(async () => {
      for (const server of servers) {
        await server.end("SIGTERM");
      }
      for (const folder of folders) {
        await folder.remove();
      }
      await database.drop();
    });

    test("end each other's Delays when they are due", { timeout: 120_000 }, async () => {
      const definition = {
        nodes: [
          { id: "1", start: { api_call: {} } },
          { id: "2", delay: { seconds: "3" } },
          { id: "3", response: { data: "{}" } },
        ],
        edges: [
          { source: "1", target: "2" },
          { source: "2", target: "3" },
        ],
      };
      await putWorkflow(servers[0]?.url ?? "", { alias: "delay", definition });
      const calls = servers.map(({ url }) => executionCalls(url));
      const ids: string[] = [];
      for (const at of calls) {
        ids.push(...(await Promise.all(Array.from({ length: 20 }, () => at.start({ workflow: "delay" })))));
      }
      for (const execution_id of ids) {
        await calls[0]?.until(ExecutionService.method.getExecution, { execution_id }, { state: "COMPLETED" });
      }
      const { rows } = await database.query(
        "select extract(epoch from max(end_time - create_time))::int as slowest, extract(epoch from min(end_time - create_time))::float8 as fastest from execution where state = 'COMPLETED' and id = any (array['" +
          ids.join("','") +
          "'])",
      );
      expect(Number(rows[0]?.["fastest"])).toBeGreaterThan(2.9);
      expect(Number(rows[0]?.["slowest"])).toBeLessThan(60);
      // Ids begin with the second of the database's clock, by which their partitions are made and dropped.
      const { rows: offsets } = await database.query(`
      select max(abs(extract(epoch from create_time) - ('x' || left(id, 8))::bit(32)::bigint))::float8 as most
        from execution`);
      expect(Number(offsets[0]?.["most"])).toBeLessThan(30);
    });
  },
);
