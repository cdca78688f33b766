import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Flowcall, startFlowcall } from "./support/flowcall.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "..");
const page = await readFile(join(root, "docs/operating.md"), "utf8");

function blocksOf(language: string): readonly string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(([, text = ""]) => text);
}

let flowcall: Flowcall;

beforeAll(async () => {
  flowcall = await startFlowcall();
});

afterAll(async () => {
  await flowcall?.stop();
});

describe("the page for operators", () => {
  test.each(blocksOf("sh"))("a command runs: %s", { timeout: 120_000 }, async (commands) => {
    const here = commands.replaceAll("http://127.0.0.1:4180", flowcall.url);
    const env = { ...process.env, FLOWCALL_DATABASE_URL: flowcall.database.url };
    const { stdout } = await run("bash", ["-euo", "pipefail", "-c", here], { cwd: root, env });
    expect(stdout).not.toBe("");
  });

  const answers = [["queued", "oldest_seconds"], [], ["owner", "seconds_ago", "runs"], [], ["relname"], []];
  test.each(blocksOf("sql").map((text, index) => ({ text, columns: answers[index] ?? [] })))(
    "a question is answered: $text",
    async ({ text, columns }) => {
      const { rows, fields } = await flowcall.database.query(text);
      expect(fields.length).toBeGreaterThan(1);
      if (columns.length > 0) {
        expect(Object.keys(rows[0] ?? {})).toEqual(expect.arrayContaining(columns));
      }
    },
  );

  test("it has as many of them as are expected here", () => {
    expect([blocksOf("sh").length, blocksOf("sql").length]).toEqual([3, answers.length]);
  });

  test("each line of the log that it explains is one that is written", async () => {
    const rows = page.slice(page.indexOf("| line of the log"));
    const lines = [...rows.matchAll(/^\| `([^`]+)`(?:, then `([^`]+)`)?/gm)].flatMap(([, ...all]) => all);
    const files = await readdir(join(root, "src"), { recursive: true });
    const sources = files.filter((file) => file.endsWith(".ts") && !file.startsWith("gen/"));
    const text = (await Promise.all(sources.map((file) => readFile(join(root, "src", file), "utf8")))).join("");
    const said = lines.filter((line) => line !== undefined);
    expect(said.length).toBeGreaterThan(6);
    expect(said.filter((line) => !text.includes(`"${line}"`))).toEqual([]);
  });

  test("each setting that it names is one", async () => {
    const settings = await readFile(join(root, "docs/settings.md"), "utf8");
    const names = [page, await readFile(join(root, "docs/nginx.conf"), "utf8")].flatMap((text) =>
      [...text.matchAll(/FLOWCALL_\w+/g)].map(([name]) => name),
    );
    expect(names.length).toBeGreaterThan(8);
    const known = new Set([...settings.matchAll(/^\| `(FLOWCALL_\w+)`/gm)].map(([, name]) => name));
    expect(names.filter((name) => !known.has(name))).toEqual([]);
  });
});
