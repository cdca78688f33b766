import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { Agent, request } from "undici";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { missingLimits } from "../src/process/memory-limits.ts";
import { eventually } from "./support/eventually.ts";
import { testKey } from "./support/flowcall.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { makeDataDir, type ServerProcess, startServerProcess } from "./support/server-process.ts";

const start = { environment: {}, execArgv: [], platform: "linux", machineMib: 4_192 };
const young = "--max-semi-space-size=16";

describe("what a process lacks of its limits", () => {
  test.each([
    ["all of them by default", {}, ["--max-old-space-size=512", young]],
    ["what is set", { environment: { FLOWCALL_HEAP_MIB: "300" } }, ["--max-old-space-size=300", young]],
    ["nothing that a small machine sets lower", { machineMib: 256 }, [young]],
    [
      "what is set on a small machine",
      { machineMib: 256, environment: { FLOWCALL_HEAP_MIB: "400" } },
      ["--max-old-space-size=400", young],
    ],
    ["not a heap of its own flag", { execArgv: ["--max_old_space_size=900"] }, [young]],
    ["not a heap of NODE_OPTIONS", { environment: { NODE_OPTIONS: "--max-old-space-size=900" } }, [young]],
    ["nothing where both flags are there", { execArgv: ["--max-old-space-size=1", "--max-semi-space-size=1"] }, []],
    [
      "the default for a wrong setting, which is told later",
      { environment: { FLOWCALL_HEAP_MIB: "x" } },
      ["--max-old-space-size=512", young],
    ],
  ])("is %s", (_, given, flags) => {
    expect(missingLimits({ ...start, ...given }).flags).toEqual(flags);
  });

  test("is no variable of glibc that is set, and none where there is no glibc", () => {
    const names = (given: object) => Object.keys(missingLimits({ ...start, ...given }).variables);
    expect(names({})).toEqual(["MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"]);
    expect(names({ environment: { MALLOC_ARENA_MAX: "8" } })).not.toContain("MALLOC_ARENA_MAX");
    expect(names({ platform: "darwin" })).toEqual([]);
  });
});

describe.skipIf(process.platform !== "linux")("a process that was started plainly", () => {
  let database: TestDatabase;
  let folder: Awaited<ReturnType<typeof makeDataDir>>;
  let server: ServerProcess;

  beforeEach(async () => {
    database = await createTestDatabase();
    folder = await makeDataDir();
  });

  afterEach(async () => {
    await database.drop();
    await folder.remove();
  });

  async function run(environment: NodeJS.ProcessEnv) {
    const { dataDir } = folder;
    const settings = { FLOWCALL_DATABASE_URL: database.url, FLOWCALL_LOG_LEVEL: "info", ...environment };
    const lines: Record<string, unknown>[] = [];
    server = await startServerProcess({ dataDir, stderr: "pipe", environment: settings });
    const { child, pid } = server;
    // Anything but a line of the log, as a warning of Node's, is a fault here.
    if (child.stderr) {
      createInterface(child.stderr).on("line", (line) => lines.push(JSON.parse(line)));
    }
    const accepted = await eventually(() => {
      const line = lines.find(({ msg }) => msg === "calls are accepted");
      expect(line).toBeDefined();
      return line;
    });
    expect(pid).toBe(child.pid);
    return { heapMib: accepted?.["heapMib"], variables: await readFile(`/proc/${pid}/environ`, "utf8") };
  }

  test("has the heap that is set and gives memory back, under the id that it had, and stops on a signal", async () => {
    const { heapMib, variables } = await run({ FLOWCALL_HEAP_MIB: "300", MALLOC_ARENA_MAX: "3" });
    expect(heapMib).toBe(300 + 3 * 16);
    expect(variables).toContain("MALLOC_ARENA_MAX=3\0");
    expect(variables).toContain("MALLOC_TRIM_THRESHOLD_=");
    expect(await server.end("SIGTERM")).toBe(0);
  });

  test("keeps the operator's own flags", async () => {
    const { heapMib } = await run({ NODE_OPTIONS: "--max-old-space-size=333", FLOWCALL_HEAP_MIB: "300" });
    expect(heapMib).toBe(333 + 3 * 16);
    expect(await server.end("SIGTERM")).toBe(0);
  });

  test("gives back what a burst of large bodies took", { timeout: 150_000 }, async () => {
    await run({ FLOWCALL_EXAMPLES: "true", FLOWCALL_TEST_KEY: testKey });
    const rss = async () => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${server.pid}/status`, "utf8"))?.[1]);
    const before = await rss();
    const agent = new Agent({ connections: 12 });
    const body = JSON.stringify({ items: "x".repeat(1_000_000) });
    const headers = {
      "content-type": "application/json",
      "x-api-key": testKey,
      linked_account_id: "john@acme.io",
      sync_execution: "true",
    };
    let peak = before;
    const send = async () => {
      const reply = await request(`${server.url}/api/v1/workflow/create-task/execute`, {
        dispatcher: agent,
        method: "POST",
        headers,
        body,
      });
      await reply.body.dump();
      peak = Math.max(peak, await rss());
    };
    for (let round = 0; round < 4; round += 1) {
      await Promise.all(Array.from({ length: 12 }, send));
    }
    await agent.close();
    await eventually(async () => expect(await rss()).toBeLessThan(before + (peak - before) / 4), {
      withinMs: 60_000,
      everyMs: 200,
    });
    expect(peak).toBeGreaterThan(before + 16 * 1024);
    expect(await server.end("SIGTERM")).toBe(0);
  });
});

/** Frees nearly all of many objects that live outside of V8's heap, and says what the process holds before and later. */
const fragmented = `
  const { createHmac } = await import("node:crypto");
  const { MemoryReclaimer } = await import(process.argv[1]);
  const held = () => process.memoryUsage.rss() / 2 ** 20;
  let objects = Array.from({ length: 100_000 }, () => createHmac("sha256", "key"));
  const before = held();
  objects = objects.filter((_, index) => index % 1_000 === 0);
  globalThis.gc();
  if (process.argv[2] === "true") await new MemoryReclaimer({ everyMs: 50 }).start();
  for (let turn = 0; turn < 15; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  console.log(JSON.stringify({ before, after: held(), objects: objects.length }));
`;

describe.skipIf(process.platform !== "linux" || Number.parseInt(process.versions.node, 10) < 26)("freed memory", () => {
  async function run(isGivenBack: boolean) {
    const module = new URL("../src/process/memory-reclaimer.ts", import.meta.url).href;
    const args = ["--expose-gc", "--input-type=module", "-e", fragmented, module, String(isGivenBack)];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
    expect(stderr).toBe("");
    return JSON.parse(stdout);
  }

  test("that lies between what lives on goes back to the machine, and not without its being asked to", async () => {
    const kept = await run(false);
    const given = await run(true);
    expect(kept.after).toBeGreaterThan(0.8 * kept.before);
    expect(given.after).toBeLessThan(0.6 * given.before);
  });
});
