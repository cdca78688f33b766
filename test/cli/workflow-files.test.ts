import { execFileSync } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { jsonInText, jsonTextFields } from "../../src/cli/workflow-file/json-text-field.ts";
import { comments } from "../../src/gen/flowcall/comments.ts";
import { type Flowcall, startFlowcall, testKey } from "../support/flowcall.ts";
import { FlowcallCommand } from "./flowcall-command.ts";

let flowcall: Flowcall;
let command: FlowcallCommand;

beforeAll(async () => {
  flowcall = await startFlowcall();
  command = await FlowcallCommand.create({
    FLOWCALL_URL: flowcall.url,
    FLOWCALL_API_KEY: testKey,
    FLOWCALL_ACCOUNT: "john@acme.io",
    FLOWCALL_SLUG: "asana",
  });
});

afterAll(async () => {
  await command.remove();
  await flowcall.stop();
});

async function put(name: string, text: string | Buffer): Promise<string> {
  const file = join(command.home, name);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  return file;
}

async function flow(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await command.runHere(words);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout.trimEnd();
}

/** A file whose Start has a payload of one member, in its line 6. */
function file(value: string, head = ""): string {
  return `${head}name: File
definition:
  nodes:
    - id: s
      name: Start
      start: { api_call: { payload: { v: ${value} } } }
    - { id: r, name: Response, response: { data: "{}" } }
  edges: [{ source: s, target: r }]
`;
}

describe("what a workflow file holds is what is pushed, or a problem with its place", () => {
  const aliases = Array.from({ length: 9 }, (_, level) => {
    const item = level === 0 ? "x" : `*a${level - 1}`;
    return `a${level}: &a${level} [${Array.from({ length: 9 }, () => item).join(", ")}]`;
  });
  test.each<readonly [what: string, text: string | Buffer, said: string | RegExp]>([
    ["a date", file("!!timestamp 2024-01-31"), "6:54: error: the tag !!timestamp has no equivalent in JSON"],
    ["bytes", file("!!binary aGVsbG8="), "6:51: error: the tag !!binary"],
    ["a set", file("!!set { a }"), "6:48: error: the tag !!set"],
    ["an ordered map", file("!!omap [a: 1]"), "6:49: error: the tag !!omap"],
    ["a tag of its own", file("!secret x"), "6:50: error: the tag !secret"],
    ["YAML 1.1, whose dates are no texts", file("2024-01-31", "%YAML 1.1\n---\n"), "1:1: error: files are YAML 1.2"],
    ["infinity", file(".inf"), "6:42: error: .inf cannot be sent as a number"],
    ["an integer that is rounded", file("12345678901234567890"), "6:42: error: 12345678901234567890 cannot be"],
    ["a number that is octal to some", file("010"), '6:42: error: 010 begins with 0: write 10, or the text "010"'],
    ["a merge key", file("{ <<: { a: 1 }, b: 2 }"), "6:44: error: YAML 1.2 has no merge keys"],
    ["a NUL character", file("1", "# \0\n"), "is not text: line 1 has a NUL character"],
    ["half of a surrogate pair", file('"\\ud800"'), "6:42: error: the text has half of a surrogate pair"],
    ["a template without quotes", file("{{event.body}}"), '6:43: error: a template needs quotes: write "{{…}}"'],
    ["a name that is a list", file("{ ? [1] : 2 }"), "6:46: error: a name must be a text"],
    ["an alias without an anchor", file("*nobody"), "6:42: error: there is no anchor &nobody before it"],
    ["an alias of itself", file("&me [*me]"), "6:47: error: *me refers to a value that contains it"],
    ["a billion laughs", `${aliases.join("\n")}\n${file("*a8")}`, /error: the file has more than 200000 values/],
    ["two documents", `${file("1")}---\n${file("2")}`, "9:1: error: a second document begins here (---)"],
    ["no YAML", file("[1, 2"), /:\d+:\d+: error: /],
    ["no object", "- 1\n", "1:1: error: a workflow file holds an object with name and definition"],
    ["nothing", "", "1:1: error: a workflow file holds an object"],
    ["a name that is there twice", file("1", "name: Again\n"), "2:1: error: Map keys must be unique"],
    ["one name in two spellings", file('{ 1: a, "1": b }'), '6:50: error: "1" appears twice'],
    ["a hundred thousand brackets", file("[".repeat(100_000)), /:\d+:\d+: error: /],
    ["a nest that parses", file(`${"[".repeat(150)}${"]".repeat(150)}`), "error: the file is nested deeper than 100"],
    ["Latin-1", Buffer.from(file("Grüße"), "latin1"), "is not UTF-8: line 6 has an invalid byte"],
    ["UTF-16", Buffer.from(`\ufeff${file("1")}`, "utf16le"), "is UTF-16, not UTF-8. Save it as UTF-8."],
    ["ten megabytes", `# ${"x".repeat(10_000_000)}\n`, "has 9.5 MiB, and the command line reads at most 4 MiB"],
  ])("%s", async (_, text, said) => {
    const path = await put("bad/file.yaml", text);
    const { code, stdout, stderr } = await command.runHere(["workflow", "validate", "--local", path]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "files: 1, errors: 1\n" });
    if (typeof said === "string") {
      expect(stdout.replaceAll(`${path}:`, "")).toContain(said);
    } else {
      expect(stdout).toMatch(said);
    }
  });

  test("what is no file is told, and never waited for", async () => {
    const folder = join(command.home, "unusual/asana");
    await mkdir(folder, { recursive: true });
    execFileSync("bash", ["-c", 'mkfifo "$0"', join(folder, "pipe.yaml")]);
    await symlink("nowhere.yaml", join(folder, "link.yaml"));
    await symlink("../../unusual", join(folder, "round.yaml"));
    await symlink("..", join(folder, "round"));
    const words = ["workflow", "validate", join(folder, ".."), "--local"];
    const { code, stdout, stderr } = await command.runHere(words);
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining("files: 3, errors: 3") });
    expect(stdout).toMatch(/link\.yaml is a link that leads nowhere[\s\S]*pipe\.yaml is a pipe, a socket or a device/);
    const endless = await command.runHere(["run", "create-task", "-d", "@/dev/zero"]);
    expect(endless).toMatchObject({ code: 1, stderr: expect.stringContaining("has more than 4 MiB") });
  });

  test("a byte order mark is taken, and more than a hundred aliases are", async () => {
    const nodes = Array.from(
      { length: 150 },
      (_, n) => `    - { id: n${n}, name: N${n}, settings: *s, transform: { query: "1" } }`,
    );
    const text = `name: Many
definition:
  nodes:
    - { id: s, name: S, settings: &s { skip_on_error: true }, start: { api_call: {} } }
${nodes.join("\n")}
`;
    const path = await put("good/file.yaml", `\ufeff${text}`);
    expect(await flow("workflow", "validate", "--local", path)).toBe("");
  });

  test("a folder or a file that is not there is told with what is beside it", async () => {
    const path = await put("flows/asana/there.yaml", file("1"));
    await mkdir(join(command.home, "empty"), { recursive: true });
    const lines = [
      [join(command.home, "flosw"), "Did you mean flows?"],
      [path.replace("there", "three"), "Did you mean there.yaml?"],
      [join(command.home, "nowhere/deep/x.yaml"), "and no folder"],
      [join(command.home, "empty"), "There is no workflow file (.yaml, .yml, .json)"],
    ] as const;
    for (const [word, said] of lines) {
      const { code, stdout, stderr } = await command.runHere(["workflow", "validate", "--local", word]);
      expect({ code: code === 0, stdout, stderr }).toEqual({
        code: false,
        stdout: "",
        stderr: expect.stringContaining(said),
      });
    }
  });
});

const brief = `# What this file is for.
name: Brief
definition:
  nodes:
    - id: 1
      name: Start
      start: { api_call: { payload: { name: Ada, wait: 0 } } }
    - id: 2
      name: Wait
      delay: { seconds: 0.5 } # not long
    - id: 3
      name: Much
      rule: { comparisons: [{ left: "{{event.body.n}}", operator: gte, right: 1000 }] }
    - id: 4
      name: Call
      settings: { skip_on_error: true }
      http:
        method: POST
        url: http://127.0.0.1:9/
        query: { page: 1, all: true }
        headers: { accept: application/json, authorization: { value: "Bearer x", secret: true } }
        json: { name: "{{event.body.name}}", tags: [a, 1, true, null] }
    - id: 5
      name: Response
      # The answer.
      response:
        data:
          much: "{{node.Much.body.satisfied}}"
          greeting: Hello {{event.body.name}} # kindly
  edges:
    - { source: 1, target: 2 }
    - { source: 2, target: 3 }
    - { source: 3, target: 4, port: true }
    - { source: 4, target: 5 }
    - { source: 3, target: 5, port: false }
`;

describe("what a file may say more briefly", () => {
  test("numbers, objects and maps are pushed as the texts and lists that the API knows", async () => {
    const path = await put("short/asana/brief.yaml", brief);
    expect(await flow("workflow", "push", path, "--publish", "--yes")).toBe("created asana/brief v1");
    const { definition } = JSON.parse(await flow("api", "GetDraft", "-d", '{"workflow": "brief", "slug": "asana"}'));
    expect(definition.nodes[1].delay).toEqual({ seconds: "0.5" });
    expect(definition.nodes[2].rule.comparisons[0].right).toBe("1000");
    expect(definition.nodes[3].http).toMatchObject({
      query: [
        { key: "page", value: "1" },
        { key: "all", value: "true" },
      ],
      headers: [
        { key: "accept", value: "application/json" },
        { key: "authorization", value: "Bearer x", secret: true },
      ],
      json: '{"name":"{{event.body.name}}","tags":["a",1,true,null]}',
    });
    expect(definition.edges[2]).toEqual({ source: "3", target: "4", port: "true" });
    const answer = JSON.parse(await flow("run", "brief", "--sync", "-d", '{"name": "Ada", "n": 999}'));
    expect(answer).toEqual({ much: false, greeting: "Hello Ada" });
  });

  test("pushed and pulled it is the same file; pulled elsewhere it is as brief, and pushes as unchanged", async () => {
    const path = await put("short/asana/brief.yaml", brief);
    await flow("workflow", "push", path, "--yes");
    expect(await flow("workflow", "pull", join(command.home, "short"), "brief", "--slug", "asana")).toBe("");
    expect(await readFile(path, "utf8")).toBe(brief);
    const elsewhere = join(command.home, "elsewhere");
    await flow("workflow", "pull", elsewhere, "brief");
    const pulled = await readFile(join(elsewhere, "asana/brief.yaml"), "utf8");
    for (const text of [
      "right: 1000\n",
      "seconds: 0.5\n",
      "accept: application/json\n",
      '"{{node.Much.body.satisfied}}"\n',
    ]) {
      expect(pulled).toContain(text);
    }
    expect(await flow("workflow", "push", elsewhere)).toBe("unchanged asana/brief");
  });

  test("a pull writes what has changed, and keeps the comments and the rest as they are written", async () => {
    const path = await put("kept/asana/brief.yaml", brief);
    const changed = brief
      .replace("right: 1000", "right: 2000")
      .replace("Hello", "Good day")
      .replace("name: Call", "name: Ask");
    await flow("workflow", "push", await put("changed/asana/brief.yaml", changed), "--yes");
    expect(await flow("workflow", "pull", join(command.home, "kept"), "brief", "--yes")).toBe(`update ${path}`);
    const text = await readFile(path, "utf8");
    for (const comment of ["# What this file is for.", "# not long", "# The answer."]) {
      expect(text).toContain(comment);
    }
    expect(text).toContain('{ left: "{{event.body.n}}", operator: gte, right: 2000 }');
    expect(text).toContain("name: Ask");
    expect(text).toContain("    - { source: 3, target: 4, port: true }\n");
    expect(await flow("workflow", "push", path)).toBe("unchanged asana/brief");
  });

  test("a text that an object would change stays a text", () => {
    const texts = [
      '{"n": 1.0}',
      '{"a": 1, "a": 2}',
      '{"b": 1, "2": 3}',
      '{"n": 12345678901234567890}',
      '"a"',
      "null",
      "{{x}}",
      "{",
    ];
    expect(texts.map(jsonInText)).toEqual(texts.map(() => undefined));
    expect(jsonInText('{ "a": {{node.X.body}}, "b": ["{{c}}", {{d}}] }')).toEqual({
      a: "{{node.X.body}}",
      b: ["{{c}}", "{{d}}"],
    });
    const value = fc.jsonValue({ maxDepth: 4 });
    fc.assert(
      fc.property(value, (json) => {
        const found = jsonInText(JSON.stringify(json));
        if (found !== undefined) {
          expect(JSON.stringify(found)).toBe(JSON.stringify(json));
        }
      }),
    );
  });

  test("the fields that hold JSON text are those that the protos say it of", () => {
    const told = Object.entries(comments).filter(([, comment]) => /\bJSON text with templates/.test(comment));
    const names = told.map(([name]) => name.replace("flowcall.v1.", "")).filter((name) => name.includes("."));
    expect(names.sort()).toEqual([...jsonTextFields].sort());
  });
});

describe("a payload is sent as it was written, or not at all", () => {
  test.each<readonly [what: string, bytes: Buffer | string, said: string]>([
    ["Latin-1", Buffer.from('{"Task Name": "Grüße"}', "latin1"), "is not UTF-8: line 1"],
    ["a member that is there twice", '{"a": 1, "a": 2}', "--data.a is given twice"],
    ["half of a surrogate pair", '{"a": "\\ud800"}', "--data.a"],
    ["an integer that is rounded", '{"a": [12345678901234567890]}', "--data.a[0]"],
    ["a second value", "{} {}", "goes on after its value"],
    ["no JSON", "{'a': 1}", "a member name in double quotes"],
  ])("%s", async (_, bytes, said) => {
    const path = await put("payload.json", bytes);
    const { code, stdout, stderr } = await command.runHere(["run", "create-task", "--sync", "-d", `@${path}`]);
    expect({ isRefused: code === 1 || code === 2, stdout }).toEqual({ isRefused: true, stdout: "" });
    expect(stderr).toContain(said);
  });

  test("a byte order mark of a file is no part of it", async () => {
    const path = await put("payload.json", '\ufeff{"Task Name": "Grüße"}');
    expect(JSON.parse(await flow("run", "create-task", "--sync", "-d", `@${path}`))).toMatchObject({
      new_note: "Grüße",
    });
  });
});

describe("from nothing", () => {
  const admin = () => ({ FLOWCALL_SLUG: "" });

  test("a new file is pushed with its integration, tested, published and run", async () => {
    const folder = join(command.home, "fresh");
    const made = await command.runHere(["workflow", "new", join(folder, "shop/order")]);
    expect(made).toMatchObject({ code: 0, stderr: expect.stringContaining("flowcall dev") });
    const again = await command.runHere(["workflow", "new", join(folder, "shop/order")]);
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining("exists already") });
    const lines = ["workflow", "push", folder, "--yes"];
    const missing = await command.runHere(lines);
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining("flowcall integration put shop") });
    const reader = { FLOWCALL_API_KEY: await authorKey() };
    const mayNot = await command.runHere([...lines, "--create"], { environment: reader });
    expect(mayNot).toMatchObject({
      code: 4,
      stdout: "",
      stderr: expect.stringContaining("needs a key with the scope admin"),
    });
    expect(await flow("workflow", "ls")).not.toContain("shop/order");
    expect(await flow(...lines, "--create")).toBe("created shop/order");
    expect(await flow("integration", "ls")).toContain("shop");
    expect(await flow("workflow", "test", folder)).toBe("ok      shop/order: greets by name");
    expect(await flow(...lines, "--publish")).toBe("published shop/order v1");
    expect(await flow("run", "order", "--slug", "shop", "--sync", "-d", '{"name": "Ada"}')).toContain("Hello, Ada");
    const { stdout } = await command.runHere(["workflow", "ls"], { environment: admin() });
    expect(stdout).toMatch(/\nshop\/order +v1 /);
    expect(await flow("workflow", "versions", "order", "--slug", "shop")).toMatch(/\n\* +v1 /);
    expect(await flow("workflow", "get", join(folder, "shop/order.yaml"))).toContain("calls run   v1");
    expect(await flow("workflow", "get", "order", "--slug", "shop", "--draft")).toContain(
      "greeting: Hello, {{event.body.name}}",
    );
    expect(await flow("workflow", "unpublish", "order", "--slug", "shop")).toBe("unpublished shop/order");
    const unsure = await command.runHere(["workflow", "rm", "order", "--slug", "shop"]);
    expect(unsure).toMatchObject({ code: 2, stderr: expect.stringContaining("--yes") });
    expect(await flow("workflow", "rm", "order", "--slug", "shop", "--yes")).toBe("deleted shop/order");
  });

  test("an integration keeps what is not named when it is put again", async () => {
    const fields = JSON.stringify([{ name: "Region", type: "STRING" }]);
    await flow("integration", "put", "depot", "--name", "Our depot", "--fields", fields);
    expect(await flow("integration", "put", "depot", "--name", "The depot")).toBe("depot  The depot  fields: Region");
    const bad = await command.runHere(["integration", "put", "depot", "--fields", '[{"nme": "x"}]']);
    expect(bad).toMatchObject({ code: 2, stderr: expect.stringContaining("nme") });
  });
});

async function authorKey(): Promise<string> {
  return await flow("key", "create", "author", "--scope", "read,author", "--show");
}

describe("flowcall workflow test", () => {
  const text = `name: Checked
definition:
  nodes:
    - { id: s, name: Start, start: { api_call: { payload: { n: 1 } } } }
    - { id: c, name: Ask it, http: { method: GET, url: "http://127.0.0.1:9/" } }
    - { id: r, name: Response, response: { data: { n: "{{event.body.n}}", said: "{{node.Ask it.body}}" }, status_code: 422 } }
  edges: [{ source: s, target: c }, { source: c, target: r }]
`;

  test("runs the cases beside a file against the draft, and the exit code says whether all hold", async () => {
    const path = await put("cases/asana/checked.yaml", text);
    await put(
      "cases/asana/checked.test.yaml",
      `cases:
  - { name: by name, payload: { n: 2 }, outputs: { Ask it: { body: yes } }, expect: { n: 2, said: "yes" }, status_code: 422 }
  - { name: by id, outputs: { c: { body: 5 } }, expect: { n: 1, said: 6 } }
  - { name: as it fails, error: EGRESS_REFUSED }
  - { name: as it does not fail, error: HTTP_STATUS }
`,
    );
    const words = ["workflow", "test", path];
    const early = await command.runHere(words);
    expect(early).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("--push") });
    const { code, stdout, stderr } = await command.runHere([...words, "--push"]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "2 passed, 2 failed\n" });
    expect(stdout.replaceAll(/[0-9a-f]{24}/g, "ID").split("\n")).toEqual([
      "ok      asana/checked: by name",
      "FAILED  asana/checked: by id",
      "        said: expected 6, got 5",
      "        flowcall get ID",
      "ok      asana/checked: as it fails",
      "FAILED  asana/checked: as it does not fail",
      expect.stringMatching(/^ {8}expected HTTP_STATUS, got EGRESS_REFUSED at node c \(Ask it\): /),
      "        flowcall get ID",
      "",
    ]);
    const given = ["--data", '{"n": 7}', "--outputs", '{"c": {"body": null}}'];
    expect(await flow("workflow", "test", "checked", ...given)).toBe(
      'ok      checked: the given payload  {"n":7,"said":null}',
    );
  });

  test("broken cases are told by their places, and nothing runs", async () => {
    const path = await put("broken-cases/asana/checked.yaml", text);
    await put("broken-cases/asana/checked.test.yaml", "cases:\n  - { outputs: { Ask: 1 } }\n  - { expct: 1 }\n  - 5\n");
    const { code, stdout, stderr } = await command.runHere(["workflow", "test", path, "--push"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    for (const said of [
      "2:18: error: Ask: is not a node. Did you mean Ask it?",
      "3:7: error: expct: is not known. Did you mean expect?",
      "4:5: error: 2: a case is an object",
    ]) {
      expect(stderr).toContain(`checked.test.yaml:${said}`);
    }
  });
});
