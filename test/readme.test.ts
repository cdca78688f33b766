import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, watch, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "./support/eventually.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "..");

type Block = { readonly language: string; readonly text: string };

/** The blocks of the README, and behind them those of the page that goes on with its calls. */
async function readBlocks(): Promise<readonly Block[]> {
  const pages = await Promise.all(["README.md", "docs/api.md"].map((page) => readFile(join(root, page), "utf8")));
  return [...pages.join("\n").matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = "", text = ""]) => ({
    language,
    text,
  }));
}

/** A README's ids are somebody else's; what must agree is everything around them. */
function withoutIds(json: string): unknown {
  return JSON.parse(json.replaceAll(/"[0-9a-f]{24}"/g, '"<id>"'));
}

let folder: string;
let dataDir: string;
let url: string;
let key: string;
let welcome = "";
let service: ReturnType<typeof spawn>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowcall-readme-"));
  // The database's user, where we are root, must be able to reach its folder.
  await chmod(folder, 0o755);
  dataDir = join(folder, "data");
  for (const name of ["proto", "src", "node_modules", "package.json", "buf.yaml", "check-node.cjs"]) {
    await symlink(join(root, name), join(folder, name));
  }
  const ready = join(folder, "ready");
  await mkdir(ready);
  const changes = watch(ready);
  service = spawn("npm", ["start"], {
    cwd: root,
    env: {
      ...process.env,
      FLOWCALL_PORT: "0",
      FLOWCALL_DATA_DIR: dataDir,
      FLOWCALL_READY_FILE: join(ready, "ready.json"),
      FLOWCALL_LOG_LEVEL: "warn",
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  service.stdout?.on("data", (chunk: Buffer) => {
    welcome += chunk.toString();
  });
  for await (const { filename } of changes) {
    if (filename === "ready.json") {
      break;
    }
  }
  ({ url } = JSON.parse(await readFile(join(ready, "ready.json"), "utf8")));
  key = JSON.parse(await readFile(join(dataDir, "keys.json"), "utf8")).test;
}, 60_000);

afterAll(async () => {
  // Where a test has failed before the last one has stopped it.
  if (service.exitCode === null) {
    const ended = once(service, "exit");
    service.kill("SIGTERM");
    await ended;
  }
  await rm(folder, { recursive: true, force: true });
});

/** Runs commands in the newcomer's shell, with the port of this run. */
async function shell(commands: string): Promise<string> {
  const { stdout } = await run("bash", ["-euo", "pipefail", "-c", commands.replaceAll("http://127.0.0.1:4180", url)], {
    cwd: folder,
    env: { ...process.env, KEY: key, PATH: `${join(root, "node_modules/.bin")}:${process.env["PATH"]}` },
  });
  return stdout;
}

/** What commands left in a folder, and a commit of everything in a clone would take along. */
async function listUnignored(left: string): Promise<readonly string[]> {
  const names = (await readdir(left, { withFileTypes: true })).filter((entry) => !entry.isSymbolicLink());
  const own = ["data", "ready"];
  const files = names.map(({ name }) => name).filter((name) => !own.includes(name));
  expect(files.length).toBeGreaterThan(0);
  const { stdout } = await run("git", ["-C", root, "check-ignore", "--no-index", ...files]).catch(
    (error: { stdout: string }) => error,
  );
  return files.filter((file) => !stdout.split("\n").includes(file));
}

describe("the README can be followed", () => {
  test("each command runs, and answers what stands below it", async () => {
    const blocks = await readBlocks();
    let answered = 0;
    for (const [index, { language, text }] of blocks.entries()) {
      if (language !== "sh" || text.startsWith("npm ci && ")) {
        continue;
      }
      const stdout = await shell(text);
      const next = blocks[index + 1];
      if (next?.language !== "json") {
        continue;
      }
      expect(withoutIds(stdout)).toEqual(withoutIds(next.text));
      answered += 1;
    }
    expect(answered).toBe(6);
    expect(await listUnignored(folder)).toEqual([]);
  }, 60_000);

  test("its first and its last command are the two that a fresh machine needs", async () => {
    const commands = (await readBlocks()).filter(({ text }) => text.includes("npm ci")).map(({ text }) => text.trim());
    expect(commands).toEqual(["npm ci && npm start", "npm ci && npm test"]);
  });

  test("its TypeScript client runs as it stands", async () => {
    const client = (await readBlocks()).find(({ language }) => language === "ts");
    await writeFile(join(folder, "client.ts"), client?.text.replace("http://127.0.0.1:4180", url) ?? "");
    expect(await shell("npx node client.ts")).toMatch(/^[0-9a-f]{24} structValue\n$/);
  });

  test("it speaks every protocol that buf curl does", async () => {
    const grpc = (await readBlocks()).find(({ text }) => text.includes("buf curl"))?.text ?? "";
    for (const protocol of ["grpc", "grpcweb", "connect"]) {
      const answer = JSON.parse(await shell(grpc.replace("--protocol grpc", `--protocol ${protocol}`)));
      expect(Object.keys(answer).sort()).toEqual(["execution_id", "return_value"]);
    }
  });

  test("what the start prints can be copied: where the keys are, and two calls", async () => {
    expect(welcome).toContain(`runs at ${url}\n`);
    expect(welcome).toContain(join(dataDir, "keys.json"));
    const take = /^ {2}export KEY=.*$/m.exec(welcome)?.[0] ?? "";
    const call = /^ {2}curl -sS -X POST [\s\S]*?'$/m.exec(welcome)?.[0] ?? "";
    const ask = /^ {2}curl -sS http.*$/m.exec(welcome)?.[0] ?? "";
    const answer = JSON.parse(await shell(`unset KEY\n${take}\n${call}`));
    expect(answer).toMatchObject({ return_value: { success: "true" } });
    const asked = ask.replace("EXECUTION_ID", answer.execution_id);
    expect(JSON.parse(await shell(`${take}\n${asked}`))).toEqual({
      response: answer.return_value,
      status: "COMPLETED",
    });
  });

  test("a supervisor that knows npm alone stops it: calls under way are answered, the status is 0, nothing is left", async () => {
    const { pid } = JSON.parse(await readFile(join(folder, "ready", "ready.json"), "utf8"));
    const headers = { "x-api-key": key, linked_account_id: "john@acme.io", sync_execution: "true" };
    const call = fetch(`${url}/api/v1/workflow/slow-task/execute`, { method: "POST", headers });
    const list = `${url}/api/v1/execution?workflow=slow-task`;
    const isUnderWay = async () => (await (await fetch(list, { headers })).text()).includes('"id"');
    await until("the call is under way", isUnderWay);
    const ended = once(service, "exit");
    service.kill("SIGTERM");
    const reply = await call;
    expect([reply.status, await reply.json()]).toMatchObject([200, { return_value: expect.anything() }]);
    expect(await ended).toEqual([0, null]);
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    await expect(readFile(join(dataDir, "postgres/data-18/postmaster.pid"))).rejects.toThrow("ENOENT");
  }, 30_000);
});
