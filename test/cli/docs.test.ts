import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Flowcall, startFlowcall, testKey } from "../support/flowcall.ts";
import { FlowcallCommand } from "./flowcall-command.ts";

const shell = promisify(execFile);
const root = resolve(import.meta.dirname, "../..");
const page = await readFile(join(root, "docs/cli.md"), "utf8");
const blocks = [...page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = "", text = ""]) => ({
  language,
  text,
}));
const commands = blocks.flatMap(({ language, text }, index) => {
  const next = blocks[index + 1];
  return language === "sh" ? [{ text, answer: next?.language === "sh" ? undefined : next }] : [];
});

let flowcall: Flowcall;
let command: FlowcallCommand;
let server: ChildProcess;

beforeAll(async () => {
  flowcall = await startFlowcall();
  command = await FlowcallCommand.create({});
  const served = join(import.meta.dirname, "served-command.ts");
  server = spawn(process.execPath, [served], {
    cwd: command.home,
    env: command.environment(),
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [port] = await once(server.stdout ?? server, "data");
  const script = `#!/bin/bash
words=(); for word in "$@"; do words+=(--data-urlencode "word=$word"); done
status=$(curl -sS -o "$0.$$" -w '%{http_code}' http://127.0.0.1:${String(port).trim()} "\${words[@]}" \\
  --data-urlencode "FLOWCALL_API_KEY=\${FLOWCALL_API_KEY-}" --data-urlencode stdin@-)
cat "$0.$$" && exit $((status - 200))
`;
  await mkdir(join(command.home, "bin"));
  await writeFile(join(command.home, "bin/flowcall"), script);
  await chmod(join(command.home, "bin/flowcall"), 0o755);
  await mkdir(join(command.home, ".flowcall"));
  await writeFile(join(command.home, ".flowcall/keys.json"), JSON.stringify({ test: testKey }));
});

afterAll(async () => {
  server.kill();
  await command.remove();
  await flowcall.stop();
});

/** A page's ids, times and durations are somebody else's; what must agree is everything around them. */
function comparable(text: string): string {
  return text
    .replaceAll(flowcall.url, "http://127.0.0.1:4180")
    .replaceAll(/\b[0-9a-f]{24}\b/g, "<id>")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>")
    .replaceAll(/\b[\d.]+m?s$/gm, "<duration>")
    .trim();
}

/** Iterations run side by side, so that their order is of no account. */
function unordered(text: string): readonly string[] {
  return comparable(text).split("\n").sort();
}

describe("docs/cli.md", () => {
  test("has examples", () => {
    expect(commands.length).toBeGreaterThan(10);
  });

  // In order, since one makes what the next one looks at.
  test.each(commands)(
    "its commands run, and print what stands below them: %#",
    { timeout: 60_000 },
    async ({ text, answer }) => {
      const path = `${join(command.home, "bin")}:${join(root, "node_modules/.bin")}:${process.env["PATH"]}`;
      const script = text.replaceAll("http://127.0.0.1:4180", flowcall.url);
      const env = command.environment({ PATH: path });
      const running = shell("bash", ["-euo", "pipefail", "-c", script], { cwd: command.home, env });
      running.child.stdin?.end();
      const { stdout } = await running;
      if (answer === undefined) {
        expect(stdout).toBe("");
      } else if (answer.language === "json") {
        expect(JSON.parse(stdout)).toEqual(JSON.parse(answer.text));
      } else {
        expect(unordered(stdout)).toEqual(unordered(answer.text));
      }
    },
  );
});
