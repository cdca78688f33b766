import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect as connectTo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { App } from "../src/app.ts";
import { readConfig } from "../src/config.ts";
import { examplesDir } from "../src/examples.ts";
import { testKey } from "./support/flowcall.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";

const root = resolve(import.meta.dirname, "..");

let database: TestDatabase;
let folder: string;

beforeEach(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), "flowcall-start-"));
});

afterEach(async () => {
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

/** A log whose lines a test can read. */
function readableLog() {
  const lines: string[] = [];
  return { lines, log: pino({ level: "info" }, { write: (line: string) => void lines.push(line) }) };
}

/** Runs `src/main.ts` to its end. */
async function runMain(environment: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, ["src/main.ts"], { cwd: root, env: { ...process.env, ...environment } });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [code] = await once(child, "close");
  return { code, stderr };
}

describe("a start that cannot succeed says all of why", () => {
  test("bad settings are all named, and the process ends with status 2", async () => {
    const { code, stderr } = await runMain({ FLOWCALL_PORT: "no", FLOWCALL_SLOTS: "0", FLOWCALL_TYPO: "1" });
    expect(code).toBe(2);
    for (const name of ["FLOWCALL_PORT", "FLOWCALL_SLOTS", "FLOWCALL_TYPO"]) expect(stderr).toContain(`  ${name}: `);
    expect(stderr).not.toContain("    at ");
  });

  test("a broken example names file, node and field of each problem", async () => {
    await cp(examplesDir, folder, { recursive: true });
    const file = join(folder, "workflow/create-task.json");
    const broken = (await readFile(file, "utf8"))
      .replace('"query": "{', '"query": "{{event.nothing}} {{')
      .replace("Write the note.body", "Nobody.body");
    await writeFile(file, broken);
    const config = readConfig({
      FLOWCALL_PORT: "0",
      FLOWCALL_DATABASE_URL: database.url,
      FLOWCALL_DATA_DIR: join(folder, "data"),
      FLOWCALL_EXAMPLES: "true",
    });
    const app = new App({ config, log: pino({ level: "silent" }), examples: folder });
    const failure: unknown = await app.start().catch((error: unknown) => error);
    await app.stop();
    const message = failure instanceof Error ? failure.message : "";
    expect(message).toContain("create-task.json");
    expect(message).toMatch(/node 2: transform\.query: /);
    expect(message).toMatch(/node 3: response\.data: /);
  });

  test("an example that is no JSON names its file", async () => {
    await cp(examplesDir, folder, { recursive: true });
    await writeFile(join(folder, "workflow/slow-task.json"), "{");
    const config = readConfig({
      FLOWCALL_PORT: "0",
      FLOWCALL_DATABASE_URL: database.url,
      FLOWCALL_DATA_DIR: join(folder, "data"),
      FLOWCALL_EXAMPLES: "true",
    });
    const app = new App({ config, log: pino({ level: "silent" }), examples: folder });
    await expect(app.start()).rejects.toThrow(/slow-task\.json/);
    await app.stop();
  });
});

/** A door to the database that the test opens and shuts: a TCP port in front of its socket. */
class Door {
  readonly #target: TestDatabase["connection"];
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  port = 0;

  constructor(target: TestDatabase["connection"]) {
    this.#target = target;
  }

  async open(): Promise<void> {
    const server = createServer((socket) => {
      const upstream = connectTo(`${this.#target.host}/.s.PGSQL.${this.#target.port}`);
      for (const end of [socket, upstream]) {
        this.#sockets.add(end);
        end.on("error", () => undefined);
        end.on("close", () => {
          socket.destroy();
          upstream.destroy();
        });
      }
      socket.pipe(upstream).pipe(socket);
    });
    this.#server = server;
    server.listen(this.port, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address !== null && typeof address === "object") this.port = address.port;
  }

  async shut(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    await once(server, "close");
  }
}

async function statusOf(url: string): Promise<number> {
  return (await fetch(url)).status;
}

/** Asks until the answer is as expected; the test's own time limit ends it otherwise. */
async function untilStatus(url: string, status: number): Promise<void> {
  while ((await statusOf(url)) !== status) await new Promise((done) => setTimeout(done, 20));
}

describe("a database that is away", () => {
  test("is waited for at the start, said so, and comes and goes without taking the process along", async () => {
    const door = new Door(database.connection);
    await door.open();
    await door.shut();
    const { lines, log } = readableLog();
    const url = `postgres://${database.connection.user}@127.0.0.1:${door.port}/${database.connection.database}`;
    const config = readConfig({
      FLOWCALL_PORT: "0",
      FLOWCALL_DATABASE_URL: url,
      FLOWCALL_DATA_DIR: folder,
      FLOWCALL_EXAMPLES: "true",
      FLOWCALL_TEST_KEY: testKey,
    });
    const app = new App({ config, log });
    const started = app.start();
    while (!lines.some((line) => line.includes("waiting for it"))) await new Promise((done) => setTimeout(done, 20));
    expect(await statusOf(`${app.url}/healthz`)).toBe(200);
    expect(await statusOf(`${app.url}/readyz`)).toBe(503);

    const headers = { "x-api-key": testKey, linked_account_id: "john@acme.io", sync_execution: "true" };
    const execute = () => fetch(`${app.url}/api/v1/workflow/create-task/execute`, { method: "POST", headers });
    const early = await execute();
    expect([early.status, early.headers.get("retry-after"), await early.json()]).toMatchObject([
      503,
      "1",
      { error_code: "DATABASE_UNAVAILABLE" },
    ]);

    await door.open();
    await started;
    expect(await statusOf(`${app.url}/readyz`)).toBe(200);
    expect((await execute()).status).toBe(200);

    await door.shut();
    await untilStatus(`${app.url}/readyz`, 503);
    expect(await statusOf(`${app.url}/healthz`)).toBe(200);
    expect((await execute()).status).toBe(503);

    await door.open();
    await untilStatus(`${app.url}/readyz`, 200);
    expect((await execute()).status).toBe(200);
    await app.stop();
    await door.shut();
  });
});
