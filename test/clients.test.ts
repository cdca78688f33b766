import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Flowcall, startFlowcall, testKey } from "./support/flowcall.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "..");

/** Debian's; CI installs them (`.ci/run`), and sets CI, so that there their absence is a failure. */
const isPythonThere = ["/usr/bin/protoc", "/usr/bin/grpc_python_plugin", "/usr/lib/python3/dist-packages/grpc"].every(
  (file) => existsSync(file),
);
const isPythonLeftOut = !isPythonThere && process.env["CI"] === undefined;

let flowcall: Flowcall;
let folder: string;
let blocks: readonly { readonly language: string; readonly text: string }[];

beforeAll(async () => {
  flowcall = await startFlowcall();
  folder = await mkdtemp(join(tmpdir(), "flowcall-clients-"));
  for (const name of ["proto", "src", "node_modules", "package.json"])
    await symlink(join(root, name), join(folder, name));
  const page = await readFile(join(root, "docs/clients.md"), "utf8");
  const address = flowcall.url.replace("http://", "");
  blocks = [...page.replaceAll("127.0.0.1:4180", address).matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(
    ([, language = "", text = ""]) => ({ language, text }),
  );
  const [download] = blocks;
  await shell(download?.text ?? "");
});

afterAll(async () => {
  await flowcall.stop();
  await rm(folder, { recursive: true, force: true });
});

async function shell(commands: string): Promise<string> {
  const env = { ...process.env, KEY: testKey, PATH: `/usr/bin:${process.env["PATH"]}` };
  const { stdout } = await run("bash", ["-euo", "pipefail", "-c", commands], { cwd: folder, env });
  return stdout;
}

/** Runs the example of a language, in the file that its first line names. */
async function runExample(language: string, program: string): Promise<string> {
  const { text = "" } = blocks.find((block) => block.language === language) ?? {};
  const [, file = ""] = /^(?:\/\/|#) (\S+)\n/.exec(text) ?? [];
  await writeFile(join(folder, file), text);
  return (await shell(`${program} ${file}`)).trim();
}

describe("the examples of docs/clients.md run as they stand", () => {
  test("TypeScript", async () => {
    const node = process.execPath;
    expect(await runExample("ts", node)).toBe("{ success: 'true', new_note: 'From TypeScript (assigned to Jane)' }");
  });

  test.skipIf(isPythonLeftOut)("Python", async () => {
    await shell(blocks.filter(({ language }) => language === "sh").at(-1)?.text ?? "");
    expect(await runExample("python", "/usr/bin/python3")).toBe("From Python (assigned to Jane)");
  });

  test("Node.js without generated code", async () => {
    expect(await runExample("js", process.execPath)).toBe("From grpc-js (assigned to Jane)");
  });
});
