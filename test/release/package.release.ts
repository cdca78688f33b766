import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { OrdinaryUser } from "./ordinary-user.ts";

const root = resolve(import.meta.dirname, "../..");

let folder: string;
let tarball: string;
let files: readonly string[];

beforeAll(async () => {
  const { stdout } = await promisify(execFile)("npm", ["run", "-s", "package"], { cwd: root });
  folder = await mkdtemp(join(tmpdir(), "flowcall-package-"));
  // An ordinary user may not enter every folder in which somebody has a clone.
  await promisify(execFile)("cp", [stdout.trim(), join(folder, "flowcall.tgz")]);
  await promisify(execFile)("chmod", ["-R", "a+rX", folder]);
  tarball = join(folder, "flowcall.tgz");
  const list = await promisify(execFile)("tar", ["-tzf", tarball]);
  files = list.stdout.trim().split("\n");
});

afterAll(async () => rm(folder, { recursive: true, force: true }));

describe("the package", () => {
  test("has nothing to say against it: publint and attw", async () => {
    const { messages, pkg } = await publint({ pkgDir: join(root, "build/package"), strict: true });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
    const types = await checkPackage(createPackageFromTarballData(await readFile(tarball)));
    expect("problems" in types ? types.problems.filter(isForModules) : []).toEqual([]);
  });

  test("has what runs and what a person reads, and no sources, tests or scripts", () => {
    expect(files).toEqual(
      expect.arrayContaining([
        "package/bin/flowcall.cjs",
        "package/dist/engine/child/pool-child.js",
        "package/dist/api-docs/api-page/index.html",
        "package/examples/workflow/create-task.json",
        "package/LICENSE",
      ]),
    );
    expect(files.filter((file) => /\.test\.|(?<!\.d)\.ts$|\.npmrc|package-lock/.test(file))).toEqual([]);
  });
});

/** Node 22.19 and newer load ES modules by `require`, too, so that attw's older Nodes are none of ours. */
function isForModules(problem: { readonly kind: string; readonly resolutionKind?: string }): boolean {
  return problem.resolutionKind !== "node10";
}

const nodes = [
  ["the oldest Node", "22.23.2"],
  ["the Node of the project", undefined],
] as const;

describe.each(nodes)("an ordinary user in an empty folder with npm's package and %s", (_, node) => {
  let user: OrdinaryUser;
  let empty: string;

  beforeAll(async () => {
    user = await OrdinaryUser.create(node);
    empty = await user.folder("empty");
  });

  afterAll(async () => user?.remove());

  const call = { "content-type": "application/json", linked_account_id: "john@acme.io", sync_execution: "true" };

  /** Starts the service, calls it, and stops npx as who knows npm alone does. Answers when the first answer came. */
  async function firstAnswerTime(): Promise<number> {
    const url = `http://127.0.0.1:${await freePort()}`;
    const port = new URL(url).port;
    const npx = user.start("npx flowcall dev", { cwd: empty, environment: { FLOWCALL_PORT: port } });
    let printed = "";
    for (const stream of [npx.stdout, npx.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        printed += chunk.toString();
      });
    }
    const isUp = async () => {
      expect(npx.exitCode, printed).toBeNull();
      return await fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
    };
    await until("the service is up", isUp, { withinMs: 120_000, everyMs: 50 });
    const { test: key } = JSON.parse(await readFile(join(empty, ".flowcall/keys.json"), "utf8"));
    const reply = await fetch(`${url}/api/v1/workflow/create-task/execute`, {
      method: "POST",
      headers: { ...call, "x-api-key": key },
      body: JSON.stringify({ "Task Name": "Sample task" }),
    });
    expect(await reply.json()).toMatchObject({ return_value: { success: "true", new_note: "Sample task" } });
    const time = performance.now();
    await until("the start has printed how to call", () => printed.includes("npx flowcall run create-task --sync"));
    expect(printed).not.toContain("Warning");

    const ended = once(npx, "exit");
    npx.kill("SIGTERM");
    await ended;
    await until("the service has ended", () => !existsSync(join(empty, ".flowcall/running.json")));
    await until("the database has ended", () => !existsSync(join(empty, ".flowcall/postgres/data-18/postmaster.pid")));
    return time;
  }

  test("has the first answer within a minute, and within three seconds the next time", async () => {
    let startTime = performance.now();
    await user.run(`npm install --no-audit --no-fund ${tarball}`, { cwd: empty });
    const coldMs = (await firstAnswerTime()) - startTime;
    const warm: number[] = [];
    for (let turn = 0; turn < 3; turn += 1) {
      startTime = performance.now();
      warm.push((await firstAnswerTime()) - startTime);
    }
    // The fastest: what else a machine does makes the others slower.
    const warmMs = Math.min(...warm);
    process.stdout.write(
      `Node ${node ?? process.versions.node}: cold ${Math.round(coldMs)} ms, warm ${warm.map(Math.round)} ms\n`,
    );
    expect(coldMs).toBeLessThan(60_000);
    expect(warmMs).toBeLessThan(3_000);
  });

  test("has the command line anywhere after npm i -g, and names files from where it stands", async () => {
    const prefix = join(user.home, "global");
    const environment = { npm_config_prefix: prefix };
    await user.run(`npm install -g --no-audit --no-fund ${tarball}`, { cwd: user.home, environment });
    const elsewhere = await user.folder("elsewhere");
    const here = { cwd: elsewhere, environment: { PATH: `${prefix}/bin:${process.env["PATH"]}` } };
    await mkdir(join(elsewhere, "deep"));
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    expect(await user.run("flowcall --version && flowcall-server --version", here)).toBe(
      `flowcall ${version}\n${version}\n`,
    );
    expect(await user.run("flowcall-admin --help", here)).toContain("key create");
    await user.run("flowcall workflow new asana/hello", here);
    expect(await user.run("ls asana", here)).toContain("hello");
  });
});
