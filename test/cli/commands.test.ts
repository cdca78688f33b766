import { execFile } from "node:child_process";
import { on, once } from "node:events";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { commands } from "../../src/cli/commands.ts";
import { type Flowcall, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { FlowcallCommand } from "./flowcall-command.ts";

const shell = promisify(execFile);
const noSettings = { FLOWCALL_URL: "", FLOWCALL_API_KEY: "", FLOWCALL_ACCOUNT: "", FLOWCALL_SLUG: "" };

const hello = `name: Hello
definition:
  nodes:
    - { id: "1", name: Start, start: { api_call: {} } }
    - { id: "2", name: Response, response: { data: '"hello"' } }
  edges: [{ source: "1", target: "2" }]
`;

const exports = join(import.meta.dirname, "../authoring/refold");

let flowcall: Flowcall;
let command: FlowcallCommand;
let folder: string;

beforeAll(async () => {
  flowcall = await startFlowcall();
  command = await FlowcallCommand.create({
    FLOWCALL_URL: flowcall.url,
    FLOWCALL_API_KEY: testKey,
    FLOWCALL_ACCOUNT: "john@acme.io",
    FLOWCALL_SLUG: "asana",
  });
  folder = join(command.home, "flows");
  await mkdir(join(folder, "asana"), { recursive: true });
  await writeFile(join(folder, "asana/hello.yaml"), hello);
});

afterAll(async () => {
  await command.remove();
  await flowcall.stop();
});

async function flow(words: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<string> {
  const { code, stdout, stderr } = await command.runHere(words, { environment });
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout.trimEnd();
}

describe("every command", () => {
  test("says with -o json what it has to say in JSON: data on stdout, or an error on stderr", {
    timeout: 60_000,
  }, async () => {
    const id = await flow(["run", "create-task"]);
    const lines: Readonly<Record<string, readonly string[]>> = {
      run: ["create-task", "--sync"],
      watch: [id],
      ls: [],
      get: [id],
      stop: [id],
      resume: [id, "2", "-d", "{}"],
      rerun: [id],
      retry: [id, "2"],
      "import refold": [join(exports, "draft.json"), "--alias", "prices"],
      "workflow push": [folder, "--yes", "--publish"],
      "workflow pull": [join(command.home, "pulled")],
      "workflow diff": [folder],
      "workflow validate": [folder],
      "workflow publish": ["hello"],
      "workflow restore": ["hello", "1"],
      "workflow new": [join(folder, "asana/fresh")],
      "workflow test": [folder, "--push"],
      "workflow ls": [],
      "workflow get": ["hello"],
      "workflow versions": ["hello"],
      "workflow unpublish": ["hello"],
      "workflow rm": ["hello", "--yes"],
      "integration put": ["shop"],
      "integration ls": [],
      "account put": ["ann@acme.io"],
      "account get": ["john@acme.io"],
      "account ls": [],
      "account rm": ["ann@acme.io"],
      "schedule put": ["nightly", "create-task", "--cron", "0 3 * * *"],
      "variable put": ["BILLING_KEY", "--value", "a value of it", "--host", "api.example.com"],
      "variable ls": [],
      "variable rm": ["BILLING_KEY"],
      "schedule ls": [],
      "schedule get": ["nightly"],
      "schedule pause": ["nightly"],
      "schedule resume": ["nightly"],
      "schedule trigger": ["nightly"],
      "schedule rm": ["nightly"],
      "webhook put": ["orders", "https://example.com/hook", "--state", "ERRORED"],
      "webhook ls": [],
      "webhook get": ["orders"],
      "webhook rotate": ["orders"],
      "webhook deliveries": ["orders"],
      "webhook redeliver": ["orders", "66e404464f475f36c0c95b5d"],
      "webhook rm": ["orders"],
      "key create": ["ci", "--scope", "read", "--file", join(command.home, "ci.key")],
      "key ls": [],
      "key rotate": ["66e404464f475f36c0c95b5d", "--show"],
      "key revoke": ["66e404464f475f36c0c95b5d"],
      "profile add": ["mine"],
      "profile use": ["mine"],
      "profile ls": [],
      "profile rm": ["mine"],
      status: [],
      doctor: [],
      api: [],
    };
    const others = commands.map(({ name }) => name).filter((name) => name !== "dev");
    expect(Object.keys(lines).sort()).toEqual(others.sort());
    const codes: Record<string, number | null> = {};
    const shown: string[] = [];
    for (const [name, words] of Object.entries(lines)) {
      const { code, stdout, stderr } = await command.runHere([...name.split(" "), ...words, "-o", "json"]);
      const said: unknown = JSON.parse(stdout === "" ? (stderr.trimEnd().split("\n").at(-1) ?? "") : stdout);
      codes[name] = code;
      if (/(get|ls|versions|pause|status)$/.test(name)) {
        const asText = await command.runHere([...name.split(" "), ...words]);
        shown.push(`${name}: ${asText.stdout}${asText.stderr}`);
      }
      expect({ name, said }).toEqual({ name, said: expect.anything() });
      if (stdout === "") {
        expect(said).toMatchObject({ error: { message: expect.any(String), exit_code: code } });
      }
    }
    expect(shown.filter((text) => /undefined|NaN|\[object/.test(text))).toEqual([]);
    const may = ["stop", "resume", "retry", "workflow restore", "key rotate", "key revoke", "webhook redeliver"];
    const failed = Object.entries(codes).filter(([name, code]) => code !== 0 && !may.includes(name));
    expect(failed).toEqual([]);
  });

  test("takes the options of every command before its name, inside of it and behind it", async () => {
    const lines = [
      ["-o", "json", "workflow", "diff", folder],
      ["workflow", "-o", "json", "diff", folder],
      ["workflow", "diff", folder, "--output=json"],
      ["-o", "jsonl", "workflow", "diff", folder, "-o", "json"],
    ];
    const ended = await Promise.all(lines.map((words) => command.runHere(words)));
    for (const { stdout } of ended) {
      expect(JSON.parse(stdout)).toEqual(JSON.parse(ended[0]?.stdout ?? ""));
    }
    // A line that cannot be read is told as it asks to be.
    const { stderr } = await command.runHere(["-o", "json", "ls", "--nothing"]);
    expect(JSON.parse(stderr)).toMatchObject({ error: { exit_code: 2 } });
  });

  test("is completed in a shell, with its options and their values", async () => {
    const [script, names, values] = await Promise.all([
      command.run(["complete", "bash"]),
      command.run(["complete", "--", "workflow", "pu"]),
      command.run(["complete", "--", "ls", "--state", ""]),
    ]);
    expect(script).toMatchObject({ code: 0, stderr: "", stdout: expect.stringContaining("complete -F") });
    expect(names.stdout).toMatch(/^push\t.*\npull\t/);
    expect(values.stdout.split("\n").map((line) => line.trim())).toContain("COMPLETED");
    // Also where the package bash-completion is not there.
    const press = `${script.stdout}
      flowcall() { [ "$*" = "complete -- workflow pu" ] && printf 'push\\tit\\npull\\tit\\n:4\\n'; }
      compopt() { :; }; COMP_WORDS=(flowcall workflow pu) COMP_CWORD=2; __flowcall_complete; echo "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = await shell("bash", ["--norc", "-c", press]);
    expect({ stdout, stderr }).toEqual({ stdout: "push pull\n", stderr: "" });
  });

  test("has a help text with an example of itself", async () => {
    const helps = await Promise.all(
      commands.map(async ({ name }) => [name, await flow([...name.split(" "), "--help"])]),
    );
    for (const [name = "", help = ""] of helps) {
      expect(help).toContain(`usage: flowcall ${name}`);
      expect(help.slice(help.indexOf("\nexample:"))).toContain(`flowcall ${name}`);
    }
    const overview = await flow(["--help"]);
    expect([await flow(["help"]), await flow(["-h"])]).toEqual([overview, overview]);
    expect(await flow(["help", "workflow", "push"])).toBe(await flow(["workflow", "push", "--help"]));
    const group = await flow(["workflow", "--help"]);
    for (const { name } of commands) {
      expect(group.includes(`  ${name} `)).toBe(name.startsWith("workflow "));
    }
    expect(await command.runHere(["workflow"])).toEqual({ code: 2, stdout: "", stderr: `${group}\n` });
    const versions = await Promise.all(["--version", "-v", "version"].map((word) => flow([word])));
    expect(versions).toEqual(versions.map(() => expect.stringMatching(/^flowcall \d+\.\d+\.\d+$/)));
    for (const { name } of commands) {
      expect(overview).toContain(`  ${name} `);
    }
  });
});

describe("flowcall profile", () => {
  test("remembers a server and its key, which no output and no other server ever gets", async () => {
    const environment = { ...noSettings };
    const file = join(command.home, "test.key");
    await writeFile(file, `${testKey}\n`);
    const add = ["profile", "add", "local", "--url", flowcall.url, "--account", "john@acme.io", "--slug", "asana"];
    const said = [
      await flow([...add, "--key-file", file], environment),
      await flow(["profile", "ls"], environment),
      await flow(["status"], environment),
      await flow(["status", "-o", "json"], environment),
      await flow(["status", "-o", "env"], environment),
    ];
    for (const output of said) {
      expect(output).not.toContain(testKey.slice(2, 12));
    }
    const config = join(command.home, "config/flowcall");
    const modes = await Promise.all(
      ["profiles.json", "local.key"].map(async (name) => (await stat(join(config, name))).mode & 0o777),
    );
    expect(modes).toEqual([0o600, 0o600]);
    expect(JSON.parse(await flow(["run", "create-task", "--sync"], environment))).toMatchObject({ success: "true" });

    const { stdout } = await shell("bash", [
      "-euc",
      `${said[4]}\nprintf %s "$FLOWCALL_URL $FLOWCALL_API_KEY $FLOWCALL_SLUG"`,
    ]);
    expect(stdout).toBe(`${flowcall.url} ${testKey} asana`);
    const seen: (string | string[] | undefined)[] = [];
    const stranger = createServer((request, response) => {
      seen.push(request.headers["x-api-key"]);
      response.end("{}");
    });
    await once(stranger.listen(0, "127.0.0.1"), "listening");
    const address = stranger.address();
    const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
    const elsewhere = await command.runHere(["ls"], { environment: { ...environment, FLOWCALL_URL: url } });
    stranger.close();
    expect({ elsewhere, seen }).toMatchObject({ elsewhere: { code: 4 }, seen: [] });

    const missing = await command.runHere(["ls", "--profile", "lokal"], { environment });
    const given = { environment: { ...environment, FLOWCALL_API_KEY: "tk-nobody-has-this-key" } };
    expect(await command.runHere(["status"], given)).toMatchObject({
      code: 4,
      stdout: expect.stringMatching(/key +from FLOWCALL_API_KEY, and refused: INVALID_API_KEY/),
    });
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining("Did you mean local?") });
    await flow(["profile", "rm", "local"], environment);
    expect(await flow(["profile", "ls"], environment)).toBe("");
    await expect(stat(join(config, "local.key"))).rejects.toThrow("ENOENT");
  });

  test("needs none where a server was started in the folder, whose key goes to it and no other", async () => {
    const dataDir = join(command.home, "local");
    await mkdir(dataDir, { recursive: true });
    await writeFile(join(dataDir, "keys.json"), JSON.stringify({ test: testKey }));
    const environment = { ...noSettings, FLOWCALL_DATA_DIR: dataDir };
    const running = (url: string) => writeFile(join(dataDir, "running.json"), JSON.stringify({ url, pid: 1 }));
    const status = (words: readonly string[] = []) => command.runHere(["status", ...words], { environment });
    await running(flowcall.url);
    const [here, elsewhere] = await Promise.all([status(), status(["--url", "http://127.0.0.1:1"])]);
    expect(here).toMatchObject({ code: 0, stdout: expect.stringContaining(`from ${join(dataDir, "keys.json")}`) });
    expect(elsewhere).toMatchObject({ code: 1, stdout: expect.stringMatching(/unreachable.*\nkey +none/) });
    const assigned = await shell("bash", [
      "-euc",
      `${await flow(["status", "-o", "env"], environment)}\necho "$FLOWCALL_API_KEY"`,
    ]);
    expect(assigned.stdout).toBe(`${testKey}\n`);
    // A folder may be somebody else's.
    await running("https://flowcall.example");
    expect((await status()).stdout).toContain("http://127.0.0.1:4180");
  });

  test("never waits for a key that nobody is there to type", async () => {
    const { code, stderr } = await command.runHere(["profile", "add", "x"], { environment: noSettings });
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining("--key-file") });
  });
});

describe("flowcall doctor", () => {
  test("is silent when all is well, and else says what is wrong and what to do", async () => {
    expect(await command.runHere(["doctor"])).toEqual({ code: 0, stdout: "", stderr: "" });
    const [unreachable, none, bad] = await Promise.all([
      command.runHere(["doctor", "--url", "http://127.0.0.1:1"]),
      command.runHere(["doctor"], { environment: { FLOWCALL_API_KEY: "" } }),
      command.runHere(["doctor"], { environment: { FLOWCALL_API_KEY: "tk-nobody-has-this-key" } }),
    ]);
    expect(unreachable).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^server: .*unreachable/),
    });
    expect(none).toMatchObject({ code: 4, stdout: expect.stringMatching(/^key: .*FLOWCALL_API_KEY/) });
    expect(bad).toMatchObject({ code: 4, stdout: expect.stringMatching(/^key: INVALID_API_KEY/) });
    const checks: readonly { readonly check: string; readonly message: string }[] = JSON.parse(
      await flow(["doctor", "-o", "json"]),
    );
    expect(checks.map(({ check }) => check)).toEqual(["server", "ready", "clock", "version", "key", "account", "slug"]);
    const lost = await command.runHere(["doctor", "--account", "nobody", "--slug", "nope"]);
    expect(lost).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^account: nobody: .*account put nobody.*\nslug: nope: .*integration put nope/),
    });
    expect(checks[4]?.message).toMatch(/^a test key named .+ with the scopes execute, read, author/);
  });
});

describe("flowcall watch", () => {
  test("prints a line for each node, and ends as the execution does", async () => {
    const items = '{"items": ["tea", "milk"]}';
    const [group, failing] = await Promise.all([
      flow(["run", "batch-notes", "-d", items]),
      flow(["run", "always-fails"]),
    ]);
    const [followed, failed, drawn] = await Promise.all([
      command.runHere(["watch", group]),
      command.runHere(["watch", failing]),
      command.runHere(["watch", group], { isTerminal: true, environment: { NO_COLOR: "1" } }),
    ]);
    const lines = followed.stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(new RegExp(`^ACCEPTED +${group}`));
    expect(lines.filter((line) => /^SUCCESS +\d+\[\d\] /.test(line))).toHaveLength(2);
    expect(lines.at(-1)).toMatch(/^COMPLETED/);
    expect(followed.code).toBe(0);
    expect(failed).toMatchObject({ code: 5, stdout: expect.stringMatching(/\nERRORED .*at node/) });
    // What stands at the end is what was drawn behind the last way back.
    const tree = drawn.stdout.slice(drawn.stdout.lastIndexOf("\x1b[0J"));
    expect(tree).toContain("2 iterations");
    expect(tree).toMatch(/✓ 1 {2}Start[\s\S]*\nCOMPLETED\n$/);
    expect(tree).not.toContain("\x1b[3");
  });

  test("a person who has enough ends it, and it says that the execution still runs", async () => {
    const nodes = [
      { id: "1", name: "Start", start: { api_call: {} } },
      { id: "2", name: "Wait", delay: { seconds: "600" } },
    ];
    const definition = { nodes, edges: [{ source: "1", target: "2" }] };
    await putWorkflow(flowcall.url, { alias: "endless", definition });
    const id = await flow(["run", "endless"]);
    const child = command.spawn(["watch", id]);
    const exited = once(child, "exit");
    for await (const _ of on(child.stdout, "data")) {
      break;
    }
    child.kill("SIGINT");
    expect((await exited)[0]).toBe(6);
  });
});

describe("flowcall key", () => {
  test("puts a new key where it is told to, and nowhere else", async () => {
    const file = join(command.home, "new.key");
    const nowhere = await command.runHere(["key", "create", "ci", "--scope", "read"]);
    expect(nowhere).toMatchObject({ code: 2, stderr: expect.stringContaining("--file") });
    const { api_key } = JSON.parse(
      await flow(["key", "create", "ci", "--scope", "read", "--file", file, "-o", "json"]),
    );
    const key = (await readFile(file, "utf8")).trim();
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const environment = { FLOWCALL_API_KEY: key };
    await flow(["ls"], environment);
    expect(await command.runHere(["stop", "66e404464f475f36c0c95b5d"], { environment })).toMatchObject({ code: 4 });
    expect(await flow(["doctor"], environment)).toBe("");
    await flow(["key", "rotate", api_key.id, "--save", "ci"]);
    await flow(["ls", "--profile", "ci"], { FLOWCALL_API_KEY: "" });
    expect(await flow(["key", "ls"])).toContain(api_key.id);
    expect(await flow(["key", "revoke", api_key.id])).toBe(`${api_key.id} revoked`);
    await flow(["profile", "rm", "ci"]);
    const existing = await command.runHere(["key", "create", "ci", "--scope", "read", "--file", file]);
    expect(existing).toMatchObject({ code: 1, stderr: expect.stringContaining("a new file only") });
  });
});

describe("flowcall account", () => {
  test("puts, gets, lists and removes linked accounts", async () => {
    const attributes = '{"plan": "pro"}';
    await flow(["account", "put", "bob@acme.io", "--name", "Bob", "--attributes", attributes]);
    expect(await flow(["account", "get", "bob@acme.io"])).toBe('bob@acme.io  Bob  {"plan":"pro"}');
    expect(await flow(["account", "ls"])).toContain("bob@acme.io");
    await flow(["account", "rm", "bob@acme.io"]);
    expect(await flow(["account", "ls"])).not.toContain("bob@acme.io");
  });
});

describe("flowcall dev", () => {
  test("starts a server, pushes what lies in the folder, and again what changes", { timeout: 60_000 }, async () => {
    const database = await createTestDatabase();
    const file = join(command.home, "watched/asana/hello.yaml");
    await mkdir(join(file, ".."), { recursive: true });
    await writeFile(file, hello);
    // It holds up none of those beside it.
    await writeFile(join(file, "../broken.yaml"), hello.replace("response:", "respnse:"));
    const environment = {
      ...noSettings,
      FLOWCALL_PORT: "0",
      FLOWCALL_DATABASE_URL: database.url,
      FLOWCALL_DATA_DIR: join(command.home, "data"),
      FLOWCALL_EXAMPLES: "true",
      FLOWCALL_LOG_LEVEL: "error",
      FLOWCALL_READY_FILE: join(command.home, "ready.json"),
    };
    const child = command.spawnByNpm(["dev", join(command.home, "watched"), "-o", "json"], { environment });
    onTestFinished(() => void child.kill("SIGTERM"));
    const exited = once(child, "exit");
    const stderr = text(child.stderr);
    let stdout = "";
    const isPushedTwice = Promise.withResolvers<void>();
    child.stdout.on("data", async (chunk) => {
      stdout += chunk;
      if (stdout.includes('"version":2')) {
        isPushedTwice.resolve();
      } else if (stdout.includes('"version":1')) {
        await writeFile(file, hello.replace('"hello"', '"good day"'));
      }
    });
    await Promise.race([isPushedTwice.promise, exited]);
    const { pid } = JSON.parse(await readFile(environment.FLOWCALL_READY_FILE, "utf8"));
    // npm alone, as a supervisor does.
    child.kill("SIGTERM");
    const [code] = await exited;
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    await database.drop();
    expect({ code, stderr: await stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/ runs at http.*broken\.yaml:\d+:\d+: error: .*Did you mean response\?.*1 broken/s),
    });
    expect(JSON.parse(stdout)).toMatchObject([
      { workflow: "asana/hello", action: "create", version: 1 },
      { workflow: "asana/hello", action: "update", version: 2 },
    ]);
  });
});

describe("an import", () => {
  const draft = join(exports, "draft.json");
  const imported = (words: readonly string[]) => command.runHere(["import", "refold", ...words]);

  test("reports to people and to programs, and exits with what CI needs to know", async () => {
    const { code, stdout } = await imported([draft, "--check"]);
    expect(code).toBe(1);
    expect(stdout).toContain("Price orders  nothing is kept\n  nodes: 8, fields: 1, warnings: 5");
    expect(stdout).toContain("node 7 (Response): warning: No export with a node of this kind is known");
    // Without warnings there is nothing to do.
    const clean = join(command.home, "clean.json");
    await writeFile(clean, '{"name":"Clean","nodes":[{"id":"1","type":"start"}]}');
    expect((await imported([clean, "--check"])).code).toBe(0);
    const broken = join(command.home, "broken.json");
    await writeFile(broken, "not JSON");
    const both = await imported([broken, draft, "--dry-run", "-o", "json"]);
    expect(both.code).toBe(1);
    expect(JSON.parse(both.stdout)).toEqual([
      { file: broken, error: expect.objectContaining({ reason: "INVALID_JSON" }) },
      expect.objectContaining({ file: draft, name: "Price orders", definition: expect.anything() }),
    ]);
    expect((await imported([broken, draft, "--alias", "x"])).code).toBe(2);
  });

  test("writes a workflow file that can be pushed, and overwrites none", async () => {
    const out = join(command.home, "imported");
    const file = join(out, "asana/price-orders.yaml");
    expect((await imported([draft, "--out", out])).stdout).toContain(`Price orders  ${file}`);
    expect((await flow(["workflow", "validate", out])).trim()).not.toContain(": error:");
    const { code, stderr } = await imported([draft, "--out", out]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("exists already")]);
    expect((await imported([draft, "--out", out, "--alias", "../../up"])).code).toBe(1);
  });
});
