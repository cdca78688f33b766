import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, createServer as createProxy } from "node:net";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Flowcall, productionKey, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";
import { FlowcallCommand } from "./flowcall-command.ts";

const shell = promisify(execFile);
const sample = '{"Task Name": "It\'s \\"quoted\\" $HOME"}';

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

/** Runs a line that must succeed; answers its stdout without the last line's end. */
async function flow(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await command.runHere(words);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout.trimEnd();
}

describe("executions from the command line", () => {
  test("a call that waits prints the value alone, and one that does not the id alone", async () => {
    const [value, id] = await Promise.all([
      flow("run", "create-task", "--sync", "-d", '{"Task Name": "Tea"}'),
      flow("run", "create-task", "-d", '{"Task Name": "Tea"}', "--tag", "own"),
    ]);
    expect(JSON.parse(value)).toEqual({ success: "true", new_note: "Tea" });
    expect(id).toMatch(/^[0-9a-f]{24}$/);
    const [listed, got, rerun] = await Promise.all([
      flow("ls", "--tag", "own", "-o", "jsonl"),
      flow("get", id),
      flow("rerun", id),
    ]);
    expect(JSON.parse(listed)).toMatchObject({ id, tag: "own" });
    expect(got).toContain(`id        ${id}\n`);
    expect(rerun).toMatch(/^[0-9a-f]{24}$/);
    expect(await flow("ls", "--source", "rerun")).toContain(rerun);
  });

  test("how an execution stands is the exit code: 5 where it failed, 6 where it still runs", async () => {
    const [failed, running] = await Promise.all([
      command.runHere(["run", "always-fails", "--sync"]),
      command.runHere(["run", "slow-task", "--wait", "0s"]),
    ]);
    expect(failed).toMatchObject({
      code: 5,
      stdout: "",
      stderr: expect.stringMatching(/ at node .*\nSee: flowcall get /),
    });
    expect(running).toMatchObject({ code: 6, stdout: expect.stringMatching(/^[0-9a-f]{24}\n$/) });
    const id = running.stdout.trim();
    expect(await flow("stop", id)).toBe(`${id} STOPPED`);
    const again = await command.runHere(["stop", id, "-o", "json"]);
    expect(again.code).toBe(1);
    const { error } = JSON.parse(again.stderr);
    expect(error).toMatchObject({ reason: "EXECUTION_ENDED", exit_code: 1, request_id: expect.stringMatching(/./) });
  });

  test("a payload comes from the line, a file or stdin, and is never changed on its way", async () => {
    const words = ["run", "create-task", "--sync", "-d", "-"];
    // The real process once: its words, its stdin, its streams and its exit code are those of any command.
    expect(await command.run(words, { input: sample })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("new_note"),
    });
    const rounded = await command.runHere(words, { input: '{"a": [{"n": 12345678901234567890}]}' });
    expect(rounded).toMatchObject({ code: 2, stderr: expect.stringContaining("12345678901234567890") });
    const array = await command.runHere(words, { input: "[]" });
    expect(array).toMatchObject({ code: 2, stderr: expect.stringContaining("object") });
    const absent = await command.runHere(["run", "create-task", "-d", "@nowhere.json"]);
    expect(absent).toMatchObject({ code: 1, stderr: expect.stringContaining("nowhere.json") });
  });

  test("who may not is told so: 4 for no key, a bad one, or another's execution", async () => {
    const id = await flow("run", "create-task");
    const [none, bad, other] = await Promise.all([
      command.runHere(["ls"], { environment: { FLOWCALL_API_KEY: "" } }),
      command.runHere(["ls"], { environment: { FLOWCALL_API_KEY: "tk-nobody-has-this-key" } }),
      command.runHere(["get", id], { environment: { FLOWCALL_API_KEY: productionKey } }),
    ]);
    expect(none).toMatchObject({ code: 4, stderr: expect.stringContaining("FLOWCALL_API_KEY") });
    expect(bad).toMatchObject({ code: 4, stderr: expect.stringContaining("INVALID_API_KEY") });
    expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining("RESOURCE_NOT_FOUND") });
  });

  test("a wrong line is a usage error, and says what was meant", async () => {
    const lines: readonly (readonly [readonly string[], string])[] = [
      [["run", "create-task", "--snyc"], "--sync"],
      [["rnu", "create-task"], "run"],
      [["ls", "--state", "runing"], "RUNNING"],
      [["api", "GetExecutoin"], "GetExecution"],
      [["get"], "flowcall get --help"],
      [["get", "a", "b"], "flowcall get --help"],
      [["run", "create-task", "--tag"], "--tag needs a value"],
      [["list"], "Did you mean ls?"],
      [["push"], "Did you mean workflow push?"],
      [["workflw", "push"], "Did you mean workflow?"],
      [["workflow", "psh", "flows"], "Did you mean push?"],
      [["help", "rnu"], "Did you mean run?"],
      [["complete", "tcsh"], "zsh"],
      [["run", "create-task", "--wait", "soon"], "10s"],
      [["ls", "-o", "yaml"], "jsonl"],
      [["ls", "--url", "nowhere"], "http://127.0.0.1:4180"],
      [["api", "GetExecution", "-d", '{"id": 1}'], "GetExecutionRequest"],
    ];
    const ended = await Promise.all(lines.map(([words]) => command.runHere(words)));
    const told = ended.map(({ code, stdout, stderr }, index) => [
      code,
      stdout,
      stderr.includes(lines[index]?.[1] ?? ""),
    ]);
    expect(told).toEqual(lines.map(() => [2, "", true]));
  });

  test("a server that is not there is said to be so", async () => {
    const { code, stderr } = await command.runHere(["ls", "--url", "http://127.0.0.1:1"]);
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("http://127.0.0.1:1 (ECONNREFUSED)"),
    });
  });
});

describe("what failed", () => {
  const definition = {
    nodes: [
      { id: "s", name: "Start", start: { api_call: {} } },
      {
        id: "each",
        name: "Each item",
        group: {
          array: "{{event.body.ids}}",
          allow_partial_success: true,
          output: "{{node.Each item.body.array_item}}",
        },
      },
      {
        id: "q",
        name: "Pick",
        group_id: "each",
        transform: { query: '{{node.Each item.body.array_item}} = 2 ? $error("two") : 1' },
      },
      {
        id: "c",
        name: "Charge",
        transform: { query: '{{event.body.fail}} ? $error("no money") : {{event.body.nmae}}' },
      },
      { id: "r", name: "Response", response: { data: '"done"' } },
    ],
    edges: [
      { source: "s", target: "each" },
      { source: "each", target: "q", port: "each" },
      { source: "each", target: "c" },
      { source: "c", target: "r" },
    ],
  };
  const refused = async (...words: string[]) => {
    const { code, stdout, stderr } = await command.runHere(words);
    expect({ isRefused: code !== 0, stdout }).toEqual({ isRefused: true, stdout: "" });
    return stderr;
  };

  test("is told by names in a list and an execution, and is tried again by one word", async () => {
    await putWorkflow(flowcall.url, { alias: "fails", definition });
    const run = async (payload: string) => {
      const { stdout } = await command.runHere(["run", "fails", "--wait", "20", "-d", payload, "-o", "json"]);
      return String(JSON.parse(stdout).execution_id);
    };
    const [failed, partial, good] = await Promise.all([
      run('{"ids": [1, 2], "fail": true}'),
      run('{"ids": [1, 2], "fail": false}'),
      run('{"ids": [1], "fail": false}'),
    ]);
    const listed = await flow("ls", "--workflow", "fails");
    expect(listed).toMatch(/^ID +STATE +WORKFLOW +ACCOUNT +CREATED +TOOK +ERROR$/m);
    expect(listed).toMatch(new RegExp(`^${failed}  ERRORED +asana/fails v1 .* EXPRESSION_ERROR at Charge$`, "m"));
    const said = await flow("get", failed);
    expect(said).toContain("workflow  asana/fails v1\n");
    expect(said).toMatch(/\n {6}ERRORED +each\[1\]\/q .*two/);
    expect(said).toMatch(
      /\n {2}ERRORED +c {2}Charge .*[^e]\n {6}note: "\{\{event.body.nmae\}\}" did not resolve\.\n {6}inputs .*"event.body.nmae":null\}$/,
    );
    expect(await flow("get", failed, "--node", "Charge")).toMatch(/^ERRORED +c {2}Charge/);

    for (const words of [[], ["Charge"], ["c"], ["--failed"]]) {
      const { code, stderr } = await command.runHere(["retry", failed, ...words]);
      // With the Group's iterations the node behind them runs again.
      expect({ code, stderr }).toEqual({
        code: 0,
        stderr: `Running ${words[0] === "--failed" ? "each[1]/q" : "c"} again.\n`,
      });
    }
    expect(await flow("retry", partial, "--failed")).toMatch(/^[0-9a-f]{24}$/);
    expect(await refused("retry", partial)).toContain("--failed");
    expect(await refused("retry", good, "--failed")).toContain(`Nothing of ${good} failed.`);
    expect(await refused("retry", failed, "Chrge")).toContain(
      "Did you mean Charge? It ran s (Start), each (Each item)",
    );
    expect(await refused("get", failed, "--node", "Pick")).toContain("as each[0]/q");
  });

  test("a test of a draft is listed as one, with the name of its workflow", async () => {
    const { stdout } = await command.runHere(["workflow", "test", "create-task", "-o", "json"]);
    const [{ execution_id: id }] = JSON.parse(stdout);
    const listed = await flow("ls", "--source", "test", "--workflow", "create-task");
    expect(listed).toMatch(new RegExp(`^${id}  COMPLETED +asana/create-task draft .* TEST$`, "m"));
    expect(await flow("get", id)).toContain("workflow  asana/create-task draft\n");
  });

  test("a name that the server does not know is told with the nearest one, and where to look", async () => {
    const lines = [
      [["run", "creat-task"], "Did you mean create-task? See: flowcall workflow ls"],
      [["run", "create-task", "--slug", "github"], "but in asana: --slug asana"],
      [["run", "create-task", "--account", "jon@acme.io"], "Did you mean john@acme.io"],
      [["workflow", "get", "creat-task"], "Did you mean create-task?"],
      [["ls", "--workflow", "creat-task"], "Did you mean create-task?"],
      [["run", "batch-notes", "--sync"], "--wait 10s"],
    ] as const;
    for (const [words, said] of lines) {
      expect(await refused(...words)).toContain(said);
    }
    const environment = { FLOWCALL_API_KEY: "tk-nobody-has-this-key" };
    expect((await command.runHere(["ls"], { environment })).stderr).toContain("flowcall profile add");
  });
});

describe("flowcall watch", () => {
  test("reads on behind its last event where the connection breaks, as by a crash of the server", async () => {
    const { hostname, port } = new URL(flowcall.url);
    let connections = 0;
    const id = await flow("run", "slow-task");
    const proxy = createProxy((socket) => {
      connections += 1;
      const upstream = connect(Number(port), hostname);
      socket.pipe(upstream).on("error", () => socket.destroy());
      socket.on("error", () => upstream.destroy());
      const isCut = connections === 1;
      let isBegun = false;
      upstream.on("data", (bytes) => {
        if (isCut && isBegun) {
          return void socket.resetAndDestroy();
        }
        // The first event holds the execution's id.
        isBegun ||= bytes.includes(id);
        socket.write(bytes);
      });
      upstream.on("close", () => socket.end());
    });
    await once(proxy.listen(0, "127.0.0.1"), "listening");
    const address = proxy.address();
    const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
    const { code, stdout, stderr } = await command.runHere(["watch", id], { environment: { FLOWCALL_URL: url } });
    proxy.close();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "The stream broke; resuming…\n" });
    expect(stdout.match(/^ACCEPTED/gm)).toHaveLength(1);
    expect(stdout).toMatch(/\nCOMPLETED /);
    expect(connections).toBeGreaterThan(1);
  });
});

describe("a server of another version", () => {
  test("is said to lack a method that it does not know", async () => {
    const older = createServer((_, response) => response.writeHead(404).end("{}"));
    await once(older.listen(0, "127.0.0.1"), "listening");
    const address = older.address();
    const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
    const environment = { FLOWCALL_URL: url };
    const { code, stderr } = await command.runHere(["ls", "-o", "json"], { environment });
    older.close();
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining(`${url} lacks this method`) });
  });
});

describe("flowcall api", () => {
  test("lists every method, and calls one by any of its names", async () => {
    const listed = await flow("api", "-o", "json");
    const methods: readonly { readonly method: string }[] = JSON.parse(listed);
    expect(methods.map(({ method }) => method)).toContain("flowcall.v1.ExecutionService.ExecuteWorkflow");
    const names = ["getworkflow", "WorkflowService/GetWorkflow", "flowcall.v1.WorkflowService.GetWorkflow"];
    const replies = await Promise.all(names.map((name) => flow("api", name, "-d", '{"workflow": "create-task"}')));
    for (const reply of replies) {
      expect(JSON.parse(reply)).toMatchObject({ alias: "create-task" });
    }
  });

  test("a header may stand for a field, and a stream is a JSON value a line", async () => {
    const reply = await flow(
      "api",
      "ExecuteWorkflow",
      "-d",
      '{"workflow": "create-task"}',
      "-H",
      "linked_account_id: jane@acme.io",
      "-H",
      "prefer: wait=10",
    );
    const { execution_id } = JSON.parse(reply);
    const lines = (await flow("api", "WatchExecution", "-d", JSON.stringify({ execution_id }))).split("\n");
    const events = lines.map((line) => JSON.parse(line));
    expect(events[0]).toMatchObject({ accepted: { execution_id, linked_account_id: "jane@acme.io" } });
    expect(events.at(-1)).toMatchObject({ ended: { status: "COMPLETED" } });
  });

  test("methods that stream both ways, and those without a key, can be called too", async () => {
    const environment = { FLOWCALL_API_KEY: "" };
    const health = await command.runHere(["api", "Health.Check"], { environment });
    expect(JSON.parse(health.stdout)).toEqual({ status: "SERVING" });
    const input = '{"listServices": ""}\n{"listServices": ""}\n';
    const words = ["api", "grpc.reflection.v1.ServerReflection.ServerReflectionInfo", "-d", "-"];
    const { stdout } = await command.runHere(words, { environment, input });
    expect(stdout.trimEnd().split("\n")).toHaveLength(2);
  });
});

describe("--curl", () => {
  test("prints a request that does the same, with the key in its variable and nowhere else", async () => {
    const id = await flow("run", "create-task", "--sync", "-d", sample, "-o", "json");
    const { execution_id, return_value } = JSON.parse(id);
    const lines: readonly (readonly string[])[] = [
      ["run", "create-task", "--sync", "--wait", "10", "-d", sample],
      ["get", execution_id],
      ["get", execution_id, "--node", "2"],
      ["ls", "--workflow", "create-task", "--state", "completed", "--since", "1h", "-n", "1"],
      ["rerun", execution_id],
    ];
    const printed = await Promise.all(lines.map((words) => flow(...words, "--curl")));
    for (const text of printed) {
      expect(text).not.toContain(testKey);
    }
    const env = { ...command.environment(), FLOWCALL_API_KEY: testKey };
    const replies = await Promise.all(printed.map((text) => shell("bash", ["-euc", text], { env })));
    const [value, execution, node, list, rerun] = replies.map(({ stdout }) => JSON.parse(stdout));
    expect(value.return_value).toEqual(return_value);
    expect(execution.id).toBe(execution_id);
    expect(node.output).toEqual(return_value);
    expect(list.executions).toHaveLength(1);
    expect(rerun.execution_id).toMatch(/^[0-9a-f]{24}$/);
  });
});
