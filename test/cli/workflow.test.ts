import { execFile } from "node:child_process";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { examplesDir } from "../../src/setup/load-examples.ts";
import { type Flowcall, startFlowcall, testKey } from "../support/flowcall.ts";
import { FlowcallCommand } from "./flowcall-command.ts";

const shell = promisify(execFile);
const root = resolve(import.meta.dirname, "../..");
const examples = join(examplesDir, "workflow");
const schemaFile = join(root, "docs/workflow.schema.json");

const greet = `# A comment that a pull must not lose.
name: Greet
description: Greets who calls.
definition:
  nodes:
    - { id: "1", name: Start, start: { api_call: {} } }
    - id: "2"
      name: Response
      response: { data: '{"greeting": "Hello, {{event.body.name}}"}' }
  edges:
    - { source: "1", target: "2" }
`;

let flowcall: Flowcall;
let command: FlowcallCommand;

beforeAll(async () => {
  flowcall = await startFlowcall();
  command = await FlowcallCommand.create({
    FLOWCALL_URL: flowcall.url,
    FLOWCALL_API_KEY: testKey,
    FLOWCALL_SLUG: "asana",
  });
});

afterAll(async () => {
  await command.remove();
  await flowcall.stop();
});

/** Writes files into a folder of their own; answers the folder. */
async function folderOf(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = join(command.home, name);
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), text);
  }
  return folder;
}

async function flow(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await command.runHere(words);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout.trimEnd();
}

async function run(alias: string, payload = "{}"): Promise<unknown> {
  return JSON.parse(await flow("run", alias, "--sync", "--account", "john@acme.io", "-d", payload));
}

describe("flowcall workflow push", () => {
  test("creates, publishes and then has nothing to do; a change is shown before it is made", async () => {
    const folder = await folderOf("push", { "asana/greet.yaml": greet });
    const planned = await flow("workflow", "push", folder, "--publish", "--dry-run");
    expect(planned).toBe("create and publish asana/greet");
    expect(await flow("workflow", "push", folder, "--publish", "--yes")).toBe("created asana/greet v1");
    expect(await run("greet", '{"name": "Ada"}')).toEqual({ greeting: "Hello, Ada" });
    expect(await flow("workflow", "push", folder, "--publish")).toBe("unchanged asana/greet");

    await folderOf("push", { "asana/greet.yaml": greet.replace("Hello", "Hi") });
    const shown = await command.runHere(["workflow", "diff", folder]);
    expect(shown).toMatchObject({ code: 1, stdout: expect.stringContaining('node 2 response.data\n    - "{') });
    const asked = await command.runHere(["workflow", "push", folder, "--publish"]);
    expect(asked).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("--yes") });
    expect(await run("greet", '{"name": "Ada"}')).toEqual({ greeting: "Hello, Ada" });
    expect(await flow("workflow", "push", folder, "--publish", "--yes")).toBe("updated asana/greet v2");
    expect(await run("greet", '{"name": "Ada"}')).toEqual({ greeting: "Hi, Ada" });
    expect(await command.runHere(["workflow", "diff", folder])).toMatchObject({ code: 0, stdout: "" });
  });

  test("a push without --publish leaves what calls run; publish is a step of its own", async () => {
    const folder = await folderOf("draft", { "asana/steps.yaml": greet });
    expect(await flow("workflow", "push", folder, "--yes")).toBe("created asana/steps");
    const early = await command.runHere(["run", "steps", "--account", "john@acme.io"]);
    expect(early).toMatchObject({ code: 1, stderr: expect.stringContaining("WORKFLOW_NOT_PUBLISHED") });
    expect(await flow("workflow", "publish", join(folder, "asana/steps.yaml"))).toBe("published steps v1");
    expect(await flow("workflow", "publish", "steps", "-o", "json")).toContain('"version": 2');
    expect(await run("steps", '{"name": "Bo"}')).toEqual({ greeting: "Hello, Bo" });
  });

  test("the examples are workflow files that the server has", async () => {
    const plan: readonly { readonly action: string }[] = JSON.parse(
      await flow("workflow", "push", examples, "-o", "json"),
    );
    expect(plan.map(({ action }) => action)).toEqual(plan.map(() => "none"));
    expect(plan.length).toBeGreaterThan(5);
  });

  test("one broken file keeps all of them from being pushed, and every problem is told with its place", async () => {
    const folder = await folderOf("broken", {
      "asana/good.yaml": greet,
      "asana/bad.yaml": greet.replace("response: {", "response: { dta: 1,").replace("source:", "suorce:"),
      "asana/torn.json": '{"name": "Torn",\n "definition": {"nodes": [}}',
      "asana/two.yaml": `${greet}descripton: 5\n`,
      "asana/exact.yaml": greet.replace("api_call: {}", "api_call: { payload: { n: 12345678901234567890 } }"),
      "asana/GREET.yml": `alias: good\n${greet}`,
    });
    const { code, stdout, stderr } = await command.runHere(["workflow", "push", folder, "--yes", "--publish"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    const told = stderr.replaceAll(`${folder}/asana/`, "");
    for (const line of [
      "bad.yaml:9:19: error: node 2 response.dta: is not known. Did you mean data? (INVALID_FIELD)",
      "bad.yaml:11:9: error: definition.edges[0].suorce: is not known. Did you mean source? (INVALID_FIELD)",
      "torn.json:2:27: error: ",
      "two.yaml:12:1: error: descripton: is not known. Did you mean description? (INVALID_FIELD)",
      "exact.yaml:6:66: error: 12345678901234567890 cannot be sent as a number",
      "good.yaml:1:1: error: alias: is the same workflow, asana/good, as",
    ]) {
      expect(told).toContain(line);
    }
    expect((await command.runHere(["run", "good", "--account", "john@acme.io"])).stderr).toContain(
      "WORKFLOW_NOT_FOUND",
    );
  });

  test("a draft that cannot be published is told by file, line and node, whoever finds it", async () => {
    const folder = await folderOf("graph", {
      "asana/graph.yaml": greet.replace("event.body.name", "node.Nobody.body"),
    });
    const { code, stdout, stderr } = await command.runHere([
      "workflow",
      "push",
      folder,
      "--yes",
      "--publish",
      "-o",
      "json",
    ]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(JSON.parse(stderr).error.message).toContain(
      `${folder}/asana/graph.yaml:9:19: error: node 2 response.data: `,
    );
    expect(await flow("api", "ListWorkflows", "-d", '{"slug": "asana"}')).not.toContain('"graph"');
  });

  test("what the server would refuse of one new file keeps all of them from being pushed", async () => {
    const there = await folderOf("whole", { "asana/whole.yaml": greet });
    await flow("workflow", "push", there, "--yes", "--publish");
    const listed = await flow("api", "ListWorkflows");
    const folder = await folderOf("whole", {
      "asana/whole.yaml": greet.replace("Hello", "Hi"),
      "asana/new.yaml": greet,
      "asana/unknown.yaml": greet.replace("event.body.name", "node.Nobody.body"),
      "asana/cycle.yaml": `${greet}    - { source: "2", target: "2" }\n`,
      "asana/long.yaml": greet.replace("name: Start", `name: ${"x".repeat(201)}`),
      "asana/0123456789abcdef01234567.yaml": greet,
      "nowhere/lost.yaml": greet.replace("event.body.name", "node.Nobody.body"),
    });
    for (const words of [["push", "--yes", "--publish"], ["validate"]]) {
      const { code, stdout, stderr } = await command.runHere(["workflow", ...words, folder]);
      expect(code).toBe(1);
      const lines = (words.length > 1 ? stderr : stdout).split("\n").filter((line) => line.includes(": error: "));
      const told = lines.map((line) => line.replace(`${folder}/`, "").replace(/^(\S+): error: .* (\(\w+\))$/, "$1 $2"));
      expect(told.sort()).toEqual([
        "asana/0123456789abcdef01234567.yaml:1:1 (INVALID_FIELD)",
        "asana/cycle.yaml:12:7 (GRAPH_CYCLIC)",
        "asana/long.yaml:6:18 (INVALID_FIELD)",
        "asana/unknown.yaml:9:19 (TEMPLATE_NODE_UNKNOWN)",
        "nowhere/lost.yaml:1:1 (INTEGRATION_NOT_FOUND)",
        "nowhere/lost.yaml:9:19 (TEMPLATE_NODE_UNKNOWN)",
      ]);
    }
    expect(await flow("api", "ListWorkflows")).toBe(listed);
    expect(await run("whole", '{"name": "Ada"}')).toEqual({ greeting: "Hello, Ada" });
  });

  test("a workflow's name and description are pushed too", async () => {
    const folder = await folderOf("named", { "asana/named.yaml": greet });
    await flow("workflow", "push", folder, "--yes", "--publish");
    await folderOf("named", {
      "asana/named.yaml": greet.replace("Greet\n", "Welcome\n").replace(/description.*\n/, ""),
    });
    expect(await flow("workflow", "push", folder, "--yes")).toBe("updated asana/named");
    expect(await flow("workflow", "push", folder)).toBe("unchanged asana/named");
    const { name, description } = JSON.parse(await flow("api", "GetWorkflow", "-d", '{"workflow": "named"}'));
    expect({ name, description }).toEqual({ name: "Welcome", description: undefined });
  });

  test("an earlier version is one command away", async () => {
    const folder = await folderOf("again", { "asana/again.yaml": greet });
    await flow("workflow", "push", folder, "--yes", "--publish");
    await folderOf("again", { "asana/again.yaml": greet.replace("Hello", "Hi") });
    await flow("workflow", "push", folder, "--yes", "--publish");
    expect(await flow("workflow", "restore", "again", "1")).toBe("published again v3");
    expect(await run("again", '{"name": "Ada"}')).toEqual({ greeting: "Hello, Ada" });
    expect(await flow("workflow", "push", folder, "--yes", "--publish")).toBe("published asana/again v4");
  });
});

describe("flowcall workflow validate", () => {
  test("says what is wrong for people, programs and GitHub, and needs no server for what files hold", async () => {
    const folder = await folderOf("check", { "asana/check.yaml": greet.replace('id: "2"', "id: [2]") });
    const file = join(folder, "asana/check.yaml");
    const nobody = { environment: { FLOWCALL_URL: "http://127.0.0.1:1" } };
    const [text, json, github] = await Promise.all(
      ["text", "json", "github"].map((format) =>
        command.runHere(["workflow", "validate", "--local", folder, "-o", format], nobody),
      ),
    );
    expect([text?.code, json?.code, github?.code]).toEqual([1, 1, 1]);
    expect(text?.stdout).toContain(`${file}:7:7: error: definition.nodes[1].id: expected string`);
    expect(JSON.parse(json?.stdout ?? "")).toMatchObject([
      { file, line: 7, column: 7, field: "definition.nodes[1].id" },
    ]);
    expect(github?.stdout).toMatch(
      new RegExp(`^::error file=${file},line=7,col=7,title=INVALID_FIELD::definition.nodes`),
    );
    const good = await folderOf("sound", { "asana/sound.yaml": greet });
    expect(await command.runHere(["workflow", "validate", good])).toMatchObject({ code: 0, stdout: "" });
  });
});

describe("flowcall workflow pull", () => {
  test("writes files that push finds unchanged, and leaves alone those that say the same", async () => {
    const folder = join(command.home, "pulled");
    const written = await flow("workflow", "pull", folder, "create-task", "batch-notes");
    expect(written.split("\n").sort()).toEqual([
      `create ${folder}/asana/batch-notes.yaml`,
      `create ${folder}/asana/create-task.yaml`,
    ]);
    const file = join(folder, "asana/create-task.yaml");
    const text = await readFile(file, "utf8");
    expect(text).toMatch(/^# yaml-language-server: \$schema=\.\.\/workflow\.schema\.json\n/);
    expect(await stat(join(folder, "asana", "../workflow.schema.json"))).toBeDefined();
    expect(await flow("workflow", "push", folder)).toMatch(
      /^unchanged asana\/batch-notes\nunchanged asana\/create-task$/,
    );
    await writeFile(file, `# Mine\n${text}`);
    expect(await flow("workflow", "pull", folder, "create-task")).toBe("");
    await writeFile(file, text.replace("Untitled", "Nameless"));
    const asked = await command.runHere(["workflow", "pull", folder, "create-task"]);
    expect(asked).toMatchObject({ code: 2, stderr: expect.stringContaining(`overwrite ${file}`) });
    expect(await readFile(file, "utf8")).toContain("Nameless");
    expect(await flow("workflow", "pull", folder, "create-task", "--yes")).toBe(`update ${file}`);
    expect(await readFile(file, "utf8")).toBe(text);
  });
});

describe("the schema of workflow files", () => {
  test("is what the protos say", { timeout: 60_000 }, async () => {
    const path = `${join(root, "node_modules/.bin")}:${process.env["PATH"]}`;
    const script = "node proto/workflow-schema.ts";
    const { stdout } = await shell("bash", ["-euo", "pipefail", "-c", script], {
      cwd: root,
      env: { ...process.env, PATH: path },
    });
    expect(stdout).toBe(await readFile(schemaFile, "utf8"));
  });

  test("takes the examples, and refuses what push refuses", async () => {
    const schema = z.fromJSONSchema(JSON.parse(await readFile(schemaFile, "utf8")));
    const names = [
      "create-task",
      "batch-notes",
      "price-list",
      "always-fails",
      "slow-task",
      "call-http",
      "flaky-call",
      "careful-call",
    ];
    for (const name of names) {
      expect(
        schema.safeParse(JSON.parse(await readFile(join(examples, `${name}.json`), "utf8"))).error,
      ).toBeUndefined();
    }
    const short = [
      greet,
      greet
        .replace('id: "2"', "id: 2")
        .replace('data: \'{"greeting": "Hello, {{event.body.name}}"}\'', "data: { a: [1] }"),
      greet.replace(/response: {.*}/, "http: { headers: { accept: x, n: 1, k: { value: y, secret: true } } }"),
    ];
    for (const text of short) {
      expect(schema.safeParse(parse(text)).error).toBeUndefined();
    }
    const broken = [
      greet.replace("name: Greet", "title: Greet"),
      greet.replace('id: "2"', "id: [2]"),
      greet.replace("data:", "dta:"),
      greet.replace("response: {", "terminate: {}\n      response: {"),
      greet.replace("edges:", "on_failure: SOMEHOW\n  edges:"),
    ];
    expect(broken.map((text) => schema.safeParse(parse(text)).success)).toEqual(broken.map(() => false));
  });
});
