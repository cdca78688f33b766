import { spawn } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runAdmin } from "../../src/admin/run-admin.ts";
import { type Flowcall, startFlowcall } from "../support/flowcall.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { makeDataDir, type ServerProcess, startServerProcess } from "../support/server-process.ts";

const root = resolve(import.meta.dirname, "../..");

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** Runs a command line with these settings and none of this process's. */
async function run(environment: NodeJS.ProcessEnv, ...words: readonly string[]): Promise<Ended> {
  const told = { stdout: "", stderr: "" };
  const sink = (name: keyof typeof told) => ({
    write: (piece: string) => {
      told[name] += piece;
    },
  });
  const code = await runAdmin({ words, environment, stdout: sink("stdout"), stderr: sink("stderr") });
  return { code, ...told };
}

/** The same as a process of its own. */
async function runProcess(environment: NodeJS.ProcessEnv, ...words: readonly string[]): Promise<Ended> {
  const { PATH, HOME } = process.env;
  const child = spawn(process.execPath, [join(root, "src/admin/main.ts"), ...words], {
    env: { PATH, HOME, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit");
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  return { code, stdout, stderr };
}

async function runJson(environment: NodeJS.ProcessEnv, ...words: readonly string[]) {
  const { code, stdout, stderr } = await run(environment, ...words, "--json");
  expect([code, stderr.replace(/^key .*once\.\n$/, "")]).toEqual([0, ""]);
  return JSON.parse(stdout);
}

async function ask(url: string, path: string, key: string) {
  const reply = await fetch(`${url}/api/v1/${path}`, { headers: { "x-api-key": key } });
  return { status: reply.status, body: Object(await reply.json()) };
}

const production = ["--environment", "production"];

/** Makes an organisation and a key, and answers all that a running service needs to be asked about them. */
async function makeGlobex(environment: NodeJS.ProcessEnv) {
  const { id } = await runJson(environment, "org", "create", "globex");
  const words = ["key", "create", "--organization", "globex", ...production, "--scope", "read,admin"];
  const { api_key, key } = await runJson(environment, ...words, "--name", "lost and found");
  expect(api_key).toMatchObject({ organization_id: id, environment: "production", scopes: ["read", "admin"] });
  return { id, keyId: api_key.id, key };
}

/** The key works, for its own environment alone, and the log says who made it. */
async function checkGlobex(url: string, { id, keyId, key }: Awaited<ReturnType<typeof makeGlobex>>): Promise<void> {
  expect((await ask(url, "workflow", key)).body).toEqual({ workflows: [] });
  const keys = await ask(url, "api-key", key);
  expect(keys.body.api_keys).toMatchObject([{ id: keyId, name: "lost and found" }]);
  const { audit_events } = (await ask(url, "audit-event", key)).body;
  expect(audit_events).toMatchObject([
    { key_id: "operator", action: "CREATE", resource: `api-key/${keyId}` },
    { key_id: "operator", action: "CREATE", resource: `organization/${id}` },
  ]);
}

describe("on the embedded database of a folder", () => {
  let folder: Awaited<ReturnType<typeof makeDataDir>>;
  let server: ServerProcess | undefined;
  let here: NodeJS.ProcessEnv;

  beforeAll(async () => {
    folder = await makeDataDir();
    here = { FLOWCALL_DATA_DIR: folder.dataDir };
  });

  afterAll(async () => {
    await server?.end("SIGTERM");
    await folder?.remove();
  });

  test("where there is none yet, none is made", async () => {
    const { code, stdout, stderr } = await run(here, "org", "create", "globex");
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(`There is no database in ${folder.dataDir}`);
  });

  test("it works beside the service that runs, and without one, and the service starts again", {
    timeout: 120_000,
  }, async () => {
    server = await startServerProcess({ dataDir: folder.dataDir });
    const globex = await makeGlobex(here);
    await checkGlobex(server.url, globex);
    await server.end("SIGTERM");
    server = undefined;

    const names = (await runJson(here, "org", "ls")).map(({ name }: { name: string }) => name);
    expect(names).toEqual(["acme", "globex"]);
    const words = ["--organization", globex.id, "--environment", "test", "--scope", "read"];
    const { code, stdout, stderr } = await runProcess(here, "key", "create", ...words);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^tk[\w-]{40}\n$/)]);
    expect(stderr).toMatch(/^key [0-9a-f]{24} of globex, test: read\. It is shown only once\.\n$/);
    // Its workers find the database that their supervisor runs.
    server = await startServerProcess({ dataDir: folder.dataDir, environment: { FLOWCALL_WORKERS: "2" } });
    expect((await ask(server.url, "workflow", stdout.trim())).status).toBe(200);
    await checkGlobex(server.url, globex);
  });
});

describe("on a database that is given by its URL", () => {
  let flowcall: Flowcall;
  let there: NodeJS.ProcessEnv;

  beforeAll(async () => {
    flowcall = await startFlowcall();
    there = { FLOWCALL_DATABASE_URL: flowcall.database.url };
  });

  afterAll(() => flowcall?.stop());

  test("it makes an organisation and a key for it, and lists both", async () => {
    const globex = await makeGlobex(there);
    await checkGlobex(flowcall.url, globex);
    const { stdout: organisations } = await run(there, "org", "ls");
    expect(organisations).toMatch(new RegExp(`^ID .*\\n.*\\n${globex.id}  globex `));
    const { stdout: keys } = await run(there, "key", "ls", "--organization", "globex");
    expect(keys).toContain(`${globex.keyId}  production   lost and found`);
    expect(keys).not.toContain(globex.key);
    const listed = await runJson(there, "key", "ls", "--organization", globex.id, "--environment", "test");
    expect(listed).toEqual([]);
  });

  const key = ["key", "create", "--organization", "globex"];
  test.each([
    [[], /usage: flowcall-admin COMMAND/],
    [["org", "mk"], /no command "org mk"\. There are create, ls\. See: flowcall-admin org --help/],
    [
      ["org", "create"],
      /flowcall-admin org create takes NAME, and was given nothing\. See: flowcall-admin org create --help/,
    ],
    [["org", "create", " "], /1 to 200 characters/],
    [["org", "create", "a\nb"], /control characters/],
    [["org", "ls", "--jsn"], /flowcall-admin org ls takes no --jsn\. Did you mean --json/],
    [["key", "ls"], /Name the organisation/],
    [[...key, "--scope", "read"], /Name the environment/],
    [[...key, "--environment", "prod", "--scope", "read"], /must be test or production, not "prod"/],
    [[...key, ...production], /Name the key's scopes/],
    [[...key, ...production, "--scope", "reed"], /not "reed"\. Did you mean read\?/],
  ])("what cannot be meant is a usage error: %j", async (words, said) => {
    const { code, stdout, stderr } = await run(there, ...words);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(said);
  });

  test("what is not there, or exists already, is an error that says so", async () => {
    const taken = await run(there, "org", "create", "globex");
    expect(taken).toEqual({
      code: 1,
      stdout: "",
      stderr: 'error: An organisation "globex" exists already. Choose another name.\n',
    });
    const unknown = await run(there, "key", "ls", "--organization", "globes", "--json");
    expect(unknown.code).toBe(1);
    expect(JSON.parse(unknown.stderr).error.message).toMatch(/no organisation "globes"\. Did you mean globex\?/);
    const away = await run({ FLOWCALL_DATABASE_URL: "postgres://nobody@127.0.0.1:1/none" }, "org", "ls");
    expect(away).toMatchObject({ code: 1, stderr: expect.stringContaining("The database cannot be reached.") });
    const wrong = await run({ FLOWCALL_DATABASE_URL: "nowhere" }, "org", "ls");
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining("FLOWCALL_DATABASE_URL: must be a URL") });
  });

  test.each(["org create", "org ls", "key create", "key ls"])("%s says what it does", async (command) => {
    const { code, stdout } = await run({}, ...command.split(" "), "--help");
    expect(code).toBe(0);
    expect(stdout).toContain(`usage: flowcall-admin ${command}`);
    expect((await run({}, "--help")).stdout).toContain(`  ${command} `);
  });

  test("tables that are not this version's are left as they are", async () => {
    const empty = await createTestDatabase();
    try {
      await empty.query("drop schema public cascade");
      await empty.query("create schema public");
      const at = { FLOWCALL_DATABASE_URL: empty.url };
      expect((await run(at, "org", "ls")).stderr).toContain(
        "Nothing was done: the database holds no tables of Flowcall",
      );
      const { rows } = await empty.query("select from pg_tables where schemaname = 'public'");
      expect(rows).toEqual([]);
    } finally {
      await empty.drop();
    }
    await flowcall.database.query("insert into kysely_migration values ('9999-later', '')");
    expect(await run(there, "org", "ls")).toMatchObject({ code: 1, stderr: expect.stringContaining("9999-later") });
    await flowcall.database.query("delete from kysely_migration where name >= '0016'");
    const early = await run(there, "org", "create", "other");
    expect(early).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("of an earlier version (0016-key-secrets"),
    });
  });
});
