import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect as connectTo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { App } from "../src/app.ts";
import { type Environment, readConfig } from "../src/config.ts";
import { readVersion } from "../src/process/version.ts";
import { welcome } from "../src/process/welcome.ts";
import { examplesDir } from "../src/setup/load-examples.ts";
import { until } from "./support/eventually.ts";
import { testKey } from "./support/flowcall.ts";
import { freePort } from "./support/free-port.ts";
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
async function runMain(environment: NodeJS.ProcessEnv, words: readonly string[] = []) {
  const env = { ...process.env, ...environment };
  const child = spawn(process.execPath, ["src/main.ts", ...words], { cwd: root, env });
  const closed = once(child, "close");
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code, stdout, stderr };
}

describe("a start that cannot succeed says all of why", () => {
  test("bad settings are all named, and the process ends with status 2", async () => {
    const { code, stderr } = await runMain({ FLOWCALL_PORT: "no", FLOWCALL_SLOTS: "0", FLOWCALL_TYPO: "1" });
    expect(code).toBe(2);
    for (const name of ["FLOWCALL_PORT", "FLOWCALL_SLOTS", "FLOWCALL_TYPO"]) {
      expect(stderr).toContain(`  ${name}: `);
    }
    expect(stderr).not.toContain("    at ");
  });

  test("a port that is taken is found before anything is done, and said in words where words are wanted", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const { code, stdout, stderr } = await runMain({
      FLOWCALL_PORT: String(port),
      FLOWCALL_DATABASE_URL: database.url,
      FLOWCALL_DATA_DIR: join(folder, "data"),
      FLOWCALL_LOG_FORMAT: "text",
    });
    other.close();
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    const settings = `FLOWCALL_PORT=${port} FLOWCALL_DATABASE_URL=(set) FLOWCALL_DATA_DIR=${folder}/data`;
    expect(stderr).toMatch(/^\d\d:\d\d:\d\d\.\d{3} {2}info {3}Flowcall starts {2}version=/);
    expect(stderr).toContain(settings);
    expect(stderr).toContain(`Flowcall cannot start: 127.0.0.1:${port} is taken by another program`);
    expect(stderr).not.toContain('{"');
    const { rows } = await database.query("select count(*)::int as count from organization");
    expect(rows).toEqual([{ count: 0 }]);
  });

  test.each(["FLOWCALL_DATABASE_URL", "FLOWCALL_READY_FILE"])(
    "what %s names cannot be used, and the variable is named",
    async (name) => {
      const wrong = {
        FLOWCALL_DATABASE_URL: database.url.replace(/[^/]+\?/, "none?"),
        FLOWCALL_READY_FILE: "/nowhere/ready.json",
      };
      const given = Object.fromEntries(Object.entries(wrong).filter(([variable]) => variable === name));
      const config = readConfig({
        FLOWCALL_PORT: "0",
        FLOWCALL_DATABASE_URL: database.url,
        FLOWCALL_DATA_DIR: join(folder, "data"),
        ...given,
      });
      const app = new App({ config, log: pino({ level: "silent" }) });
      await expect(app.start()).rejects.toThrow(name);
      await app.stop();
    },
  );

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

describe("words behind the program's name", () => {
  test("--help says what a start needs, also of a data folder as root, and nothing starts", async () => {
    const { code, stdout, stderr } = await runMain({}, ["--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const part of ["FLOWCALL_PORT", "As root:", "chmod o+x", "flowcall-admin", "FLOWCALL_LOG_FORMAT"]) {
      expect(stdout).toContain(part);
    }
  });

  test("--version says the version, and other words are refused with status 2", async () => {
    expect(await runMain({}, ["--version"])).toMatchObject({ code: 0, stdout: `${readVersion()}\n` });
    expect(await runMain({}, ["--port=1"])).toMatchObject({ code: 2, stderr: expect.stringContaining('"--port=1"') });
  });
});

describe("what is said at the start is so", () => {
  async function startWith(environment: Environment) {
    const { lines, log } = readableLog();
    const config = readConfig({
      FLOWCALL_PORT: "0",
      FLOWCALL_DATABASE_URL: database.url,
      FLOWCALL_DATA_DIR: join(folder, "data"),
      ...environment,
    });
    const app = new App({ config, log });
    await app.start();
    const said = welcome({ config, url: app.url, version: "1.2.3", started: app.started, environment: {} });
    await app.stop();
    return { lines, said };
  }

  test("a key that the database does not take is warned of, and no call, file or workflow is named that is not there", async () => {
    const founder = await startWith({ FLOWCALL_TEST_KEY: testKey, FLOWCALL_EXAMPLES: "true" });
    expect(founder.said).toContain(`test        ${testKey}`);
    expect(founder.said).toContain("create-task/execute");

    const elsewhere = { FLOWCALL_DATA_DIR: join(folder, "other") };
    const second = await startWith({ ...elsewhere, FLOWCALL_TEST_KEY: testKey });
    expect(second.said).toContain("  export KEY=$FLOWCALL_TEST_KEY");
    expect(second.said).toContain("/api/v1/workflow -H");
    expect(second.said).toContain(database.connection.database);
    for (const untrue of ["create-task", "keys.json", "embedded"]) {
      expect(second.said).not.toContain(untrue);
    }

    const stranger = await startWith({ ...elsewhere, FLOWCALL_TEST_KEY: `${testKey}0` });
    const warning = stranger.lines.find((line) => line.includes("does not take this key"));
    expect(JSON.parse(warning ?? "{}")).toMatchObject({ level: 40, variable: "FLOWCALL_TEST_KEY" });
    expect(stranger.said).toContain("flowcall-admin -- key create --help");
    expect(stranger.said).not.toContain("export KEY");
  });
});

describe("a stop that is told twice", () => {
  test("by npm and by whoever told npm, is one stop; the process ends in order", async () => {
    const environment = {
      FLOWCALL_PORT: "0",
      FLOWCALL_DATABASE_URL: `postgres://flowcall@127.0.0.1:${await freePort()}/flowcall`,
      FLOWCALL_DATA_DIR: folder,
      npm_lifecycle_event: "start",
    };
    const child = spawn(process.execPath, ["src/main.ts"], { cwd: root, env: { ...process.env, ...environment } });
    const closed = once(child, "close");
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => {
      if (!stderr.includes("waiting for it") && `${stderr}${chunk}`.includes("waiting for it")) {
        child.kill("SIGINT");
        child.kill("SIGINT");
      }
      stderr += chunk.toString();
    });
    expect(await closed).toEqual([0, null]);
    expect(stderr).toContain('"stopped"');
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
    if (address !== null && typeof address === "object") {
      this.port = address.port;
    }
  }

  async shut(): Promise<void> {
    const server = this.#server;
    if (server === undefined) {
      return;
    }
    server.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    this.#sockets.clear();
    await once(server, "close");
  }
}

async function statusOf(url: string): Promise<number> {
  return (await fetch(url)).status;
}

async function untilStatus(url: string, status: number): Promise<void> {
  await until(`${url} answers ${status}`, async () => (await statusOf(url)) === status);
}

describe("a database that is away", () => {
  test("is waited for at the start, said so, and comes and goes without taking the process along", async () => {
    const door = new Door(database.connection);
    await door.open();
    await door.shut();
    const { lines, log } = readableLog();
    const url = `postgres://${database.connection.user}@127.0.0.1:${door.port}/${database.connection.database}`;
    const port = await freePort();
    const config = readConfig({
      FLOWCALL_PORT: String(port),
      FLOWCALL_DATABASE_URL: url,
      FLOWCALL_DATA_DIR: folder,
      FLOWCALL_EXAMPLES: "true",
      FLOWCALL_TEST_KEY: testKey,
    });
    const app = new App({ config, log });
    const started = app.start();
    await until("the log says that it waits", () => lines.some((line) => line.includes("waiting for it")));
    // A proxy meets a refused connection, and loses nothing.
    const early = await fetch(`http://127.0.0.1:${port}/readyz`).catch((error: unknown) => error);
    expect(early).toMatchObject({ cause: { code: "ECONNREFUSED" } });
    const headers = { "x-api-key": testKey, linked_account_id: "john@acme.io", sync_execution: "true" };
    const execute = () => fetch(`${app.url}/api/v1/workflow/create-task/execute`, { method: "POST", headers });

    await door.open();
    await started;
    expect(await statusOf(`${app.url}/readyz`)).toBe(200);
    expect((await execute()).status).toBe(200);

    await door.shut();
    await untilStatus(`${app.url}/readyz`, 503);
    expect(await (await fetch(`${app.url}/healthz`)).json()).toEqual({ status: "ok", version: readVersion() });
    const refused = await execute();
    expect([refused.status, refused.headers.get("retry-after"), await refused.json()]).toMatchObject([
      503,
      "1",
      { error_code: "DATABASE_UNAVAILABLE" },
    ]);

    await door.open();
    await untilStatus(`${app.url}/readyz`, 200);
    expect((await execute()).status).toBe(200);
    await app.stop();
    await door.shut();
  });
});
