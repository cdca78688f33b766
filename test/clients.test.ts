import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, createServer as createProxy, type Server as Line, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { eventually } from "./support/eventually.ts";
import { type Flowcall, startFlowcall, testKey } from "./support/flowcall.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "..");

/** Debian's; CI installs them (`.ci/run`), and sets CI, so that there their absence is a failure. */
const isPythonThere = ["/usr/bin/protoc", "/usr/bin/grpc_python_plugin", "/usr/lib/python3/dist-packages/grpc"].every(
  (file) => existsSync(file),
);
const isPythonLeftOut = !isPythonThere && process.env["CI"] === undefined;

type Block = { readonly language: string; readonly text: string };

let flowcall: Flowcall;
let folder: string;
let blocks: readonly Block[];
let line: FragileLine;
/** What the workflow `call-http` calls; it answers when it is told to. */
let upstream: Server;
const mayAnswer = Promise.withResolvers<void>();

beforeAll(async () => {
  upstream = createServer(async (_, response) => {
    await mayAnswer.promise;
    response.end("{}");
  }).listen(0, "127.0.0.1");
  await once(upstream, "listening");
  flowcall = await startFlowcall({ FLOWCALL_EGRESS_ALLOW: `127.0.0.1:${portOf(upstream)}` });
  line = await FragileLine.to(Number(new URL(flowcall.url).port));
  folder = await mkdtemp(join(tmpdir(), "flowcall-clients-"));
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  await symlink(join(root, "proto"), join(folder, "proto"));
  // The examples import the package by its name, as who has installed it.
  await symlink(join(root, "src/client"), join(folder, "client"));
  const exports = { "./client": "./client/client.ts" };
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "flowcall", type: "module", exports }));
  blocks = await blocksOf("docs/clients.md", flowcall.url.replace("http://", ""));
  for (const { language, text } of blocks) {
    if (language !== "sh") {
      await writeFile(join(folder, fileOf(text)), text);
    }
  }
  const commands = blocks.flatMap(({ language, text }) => (language === "sh" ? [text] : []));
  for (const command of commands) {
    if (!isPythonLeftOut || !command.startsWith("protoc")) {
      await shell(command);
    }
  }
});

afterAll(async () => {
  await line?.close();
  upstream.closeAllConnections();
  upstream.close();
  await flowcall?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function blocksOf(page: string, address: string): Promise<readonly Block[]> {
  const text = (await readFile(join(root, page), "utf8")).replaceAll("127.0.0.1:4180", address);
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = "", body = ""]) => ({
    language,
    text: body,
  }));
}

/** The file that the first line of an example names. */
function fileOf(text: string): string {
  return /^(?:\/\/|#) (\S+)\n/.exec(text)?.[1] ?? "";
}

function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new Error("there is no port");
  }
  return address.port;
}

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, KEY: testKey, PATH: `/usr/bin:${process.env["PATH"]}` };
}

async function shell(commands: string): Promise<string> {
  const { stdout } = await run("bash", ["-euo", "pipefail", "-c", commands], { cwd: folder, env: environment() });
  return stdout.trim();
}

/** A way to the server that can be cut. */
class FragileLine {
  readonly port: number;
  readonly #server: Line;
  readonly #sockets = new Set<Socket>();
  #connections = 0;

  private constructor(server: Line, target: number) {
    this.#server = server;
    this.port = portOf(server);
    server.on("connection", (socket) => {
      this.#connections += 1;
      const there = connect(target, "127.0.0.1");
      for (const end of [socket, there]) {
        this.#sockets.add(end);
        end.on("error", () => undefined).on("close", () => [socket, there].map((each) => each.destroy()));
      }
      socket.pipe(there).pipe(socket);
    });
  }

  static async to(port: number): Promise<FragileLine> {
    const server = createProxy().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new FragileLine(server, port);
  }

  /** How many connections there ever were. */
  get connections(): number {
    return this.#connections;
  }

  cut(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    this.#sockets.clear();
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }
}

describe("the examples of docs/clients.md run as they stand, outside of the clone", () => {
  test("TypeScript", async () => {
    const said = await shell(`${process.execPath} client.ts`);
    expect(said).toBe("{ success: 'true', new_note: 'From TypeScript (assigned to Jane)' }");
  });

  test("TypeScript, with the package's own client", async () => {
    expect((await shell(`${process.execPath} run.ts`)).split("\n")).toEqual([
      "{ success: 'true', new_note: 'From the package' }",
      "accepted ",
      "node_finished Start",
      "node_finished Write the note",
      "node_finished Response",
      "ended ",
      "false",
    ]);
  });

  test("TypeScript, by the project's own tsc, the README's client too", { timeout: 60_000 }, async () => {
    const [readme] = (await blocksOf("README.md", "")).filter(({ language }) => language === "ts");
    await writeFile(join(folder, "readme.ts"), readme?.text.replaceAll("./src/gen/", "./gen/") ?? "");
    const files = ["run.ts", "client.ts", "watch.ts", "readme.ts"];
    const settings = { extends: join(root, "tsconfig.json"), include: files };
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(settings));
    expect(await shell("tsc || true")).toBe("");
  });

  test.skipIf(isPythonLeftOut)("Python", async () => {
    expect(await shell("/usr/bin/python3 client.py")).toBe("From Python (assigned to Jane)");
  });

  test("Node.js without generated code", async () => {
    expect(await shell(`${process.execPath} client.mjs`)).toBe("From grpc-js (assigned to Jane)");
  });

  test("a watcher whose stream is cut off reads on, and sees each event once, in TypeScript and in Python", {
    timeout: 60_000,
  }, async () => {
    const programs = [[process.execPath, "watch.ts"], ...(isPythonLeftOut ? [] : [["/usr/bin/python3", "watch.py"]])];
    const reply = await fetch(`${flowcall.url}/api/v1/workflow/call-http/execute`, {
      method: "POST",
      headers: { "x-api-key": testKey, linked_account_id: "john@acme.io", "content-type": "application/json" },
      body: JSON.stringify({ url: `http://127.0.0.1:${portOf(upstream)}/` }),
    });
    const { execution_id } = z.object({ execution_id: z.string() }).parse(await reply.json());
    const address = new URL(flowcall.url).host;
    for (const [, file = ""] of programs) {
      const text = await readFile(join(folder, file), "utf8");
      await writeFile(join(folder, file), text.replace(address, `127.0.0.1:${line.port}`));
    }
    const watchers = programs.map(([program = "", file = ""]) => new Watcher(program, [file, execution_id]));
    await eventually(() =>
      expect(watchers.map(({ said }) => said)).not.toContainEqual(expect.not.stringContaining("Start")),
    );
    const before = line.connections;
    line.cut();
    await eventually(() => {
      if (line.connections < before + watchers.length) {
        throw new Error(watchers.map(({ said }) => said).join("\n"));
      }
    });
    mayAnswer.resolve();
    for (const watcher of watchers) {
      const lines = ["accepted", "node_finished Start", "node_finished Call", "node_finished Response", "ended"];
      const code = await watcher.closed;
      const started = "node_started Call";
      // How long the node is under way until the answer, and so whether that is told, is up to the machine.
      expect({ code, said: watcher.lines.filter((each) => each !== started) }).toEqual({ code: 0, said: lines });
      expect(watcher.lines.filter((each) => each === started).length).toBeLessThanOrEqual(1);
    }
  });
});

/** A program of the page that watches an execution. */
class Watcher {
  said = "";
  readonly closed: Promise<unknown>;

  constructor(program: string, words: readonly string[]) {
    const child = spawn(program, words, { cwd: folder, env: environment() });
    for (const output of [child.stdout, child.stderr]) {
      output.on("data", (chunk: Buffer) => {
        this.said += chunk.toString();
      });
    }
    this.closed = once(child, "close").then(([code]) => code);
  }

  /** What it has said, in the names of the protos. */
  get lines(): readonly string[] {
    const names = this.said.replaceAll("nodeFinished", "node_finished").replaceAll("nodeStarted", "node_started");
    return names
      .trim()
      .split("\n")
      .map((each) => each.trim());
  }
}
