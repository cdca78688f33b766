import type { ServerResponse } from "node:http";
import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test, vi } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { LinkedAccountService } from "../../src/gen/flowcall/v1/linked_account_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { serve } from "../engine/http/outside.ts";
import { echoDefinition, productionKey, putWorkflow, startBeside, testKey } from "../support/flowcall.ts";
import { type ApiAnswer, protocolsOf } from "./protocols.ts";
import { useFlowcall } from "./use-flowcall.ts";

const method = { ...WorkflowService.method, ...ExecutionService.method, ...LinkedAccountService.method };
const account = "john@acme.io";

type UnaryName = Exclude<keyof typeof method, "watchExecution">;

const flowcall = await useFlowcall({ FLOWCALL_EGRESS_ALLOW: "127.0.0.0/8" });
const protocols = protocolsOf(flowcall.url);

async function serveId() {
  return await serve((_, response) => {
    response.writeHead(200, { "content-type": "application/json" }).end('{"id": 7}');
  });
}

/** Start → Call → Sum → Big (a Rule) → two Responses. */
function definition(port: number): JsonObject {
  return {
    nodes: [
      { id: "1", name: "Start", start: { api_call: { payload: { add: 1 } } } },
      {
        id: "2",
        name: "Call",
        http: { method: "POST", url: `http://127.0.0.1:${port}/`, json: "{{event.body.add}}" },
      },
      { id: "3", name: "Sum", transform: { query: "{{node.Call.body.id}} + {{event.body.add}}" } },
      { id: "4", name: "Big", rule: { comparisons: [{ left: "{{node.3.body}}", operator: "gt", right: "10" }] } },
      { id: "5", name: "Yes", response: { data: '{"big": {{node.3.body}}}' } },
      { id: "6", name: "No", response: { data: '{"small": {{node.3.body}}}' } },
    ],
    edges: [
      { source: "1", target: "2" },
      { source: "2", target: "3" },
      { source: "3", target: "4" },
      { source: "4", target: "5", port: "true" },
      { source: "4", target: "6", port: "false" },
    ],
  };
}

async function draft(alias: string, definition: JsonObject): Promise<string> {
  return await putWorkflow(flowcall.url, { alias, definition, isPublished: false });
}

function ask(
  name: UnaryName,
  fields: JsonObject,
  { call } = protocolsOf(flowcall.url)[0] ?? never(),
): Promise<ApiAnswer> {
  return call({ method: method[name], key: testKey, fields });
}

function never(): never {
  throw new Error("there is no protocol");
}

function runsOf(message: unknown): Readonly<Record<string, JsonObject>> {
  return Object.fromEntries(Object(message).node_runs.map((run: JsonObject) => [run["path"], run]));
}

describe("a test of a draft", () => {
  test("runs it without publishing it, and answers what each node was given and gave, on every protocol", async () => {
    const upstream = await serveId();
    const workflow = await draft("tested", definition(upstream.port));
    for (const protocol of protocols) {
      const before = upstream.requests.length;
      const { message } = await ask("testDraft", { workflow, linked_account_id: account }, protocol);
      expect([protocol.name, message]).toMatchObject([
        protocol.name,
        { status: "COMPLETED", return_value: { small: 8 } },
      ]);
      expect(upstream.requests.length).toBe(before + 1);
      const runs = runsOf(message);
      expect(Object.keys(runs)).toEqual(["1", "2", "3", "4", "6"]);
      expect(runs["2"]).toMatchObject({
        state: "SUCCESS",
        attempts: 1,
        input: { "event.body.add": 1 },
        output: { body: { id: 7 } },
      });
      expect(runs["3"]).toMatchObject({ input: { "node.Call.body.id": 7, "event.body.add": 1 }, output: 8 });
      expect(runs["4"]).toMatchObject({ input: { "node.3.body": 8 }, output: { satisfied: false }, port: "false" });
      const { execution_id } = Object(message);
      const execution = await ask("getExecution", { execution_id }, protocol);
      expect(execution.message).toMatchObject({ source: "TEST", workflow_version: 0, payload: { add: 1 } });
      const node = await ask("getNodeRun", { execution_id, node_id: "3" }, protocol);
      expect(node.message).toEqual(runs["3"]);
      expect(Object(execution.message).node_runs[0]).not.toHaveProperty("input");
    }
    expect((await ask("getWorkflow", { workflow })).message).not.toHaveProperty("current_version");
    expect((await ask("listVersions", { workflow })).message).toEqual({ versions: [] });
    const listed = Object((await ask("listExecutions", { workflow, source: "TEST" })).message).executions;
    expect(listed).toHaveLength(protocols.length);
  });

  test("does not run the nodes that outputs are given for, by hand and of an earlier execution", async () => {
    const upstream = await serveId();
    const workflow = await draft("stand-ins", definition(upstream.port));
    const before = upstream.requests.length;
    for (const protocol of protocols) {
      const by = (fields: JsonObject) =>
        ask("testDraft", { workflow, linked_account_id: account, ...fields }, protocol);
      const given = await by({ outputs: { "2": { status: 200, headers: {}, body: { id: 90 } } }, payload: { add: 2 } });
      expect(given.message).toMatchObject({ status: "COMPLETED", return_value: { big: 92 } });
      expect(runsOf(given.message)["2"]).toMatchObject({ attempts: 0, notes: [expect.stringContaining("given")] });
      const execution_id = Object(given.message).execution_id;
      const again = await by({ outputs_of: { execution_id }, outputs: { "3": 5 } });
      expect(again.message).toMatchObject({ return_value: { small: 5 } });
      const some = await by({ outputs_of: { execution_id, node_ids: ["2"] }, payload: { add: 3 } });
      expect(some.message).toMatchObject({ return_value: { big: 93 } });
      const turned = await by({ outputs_of: { execution_id }, outputs: { "4": { satisfied: false } } });
      expect(turned.message).toMatchObject({ return_value: { small: 92 } });
    }
    expect(upstream.requests.length).toBe(before);
  });

  test("is refused with every output that can stand in for nothing", async () => {
    const workflow = await draft("refusals", definition(9));
    await ask("putLinkedAccount", { account_id: "gone@acme.io" });
    await ask("deleteLinkedAccount", { account_id: "gone@acme.io" });
    for (const protocol of protocols) {
      const by = (fields: JsonObject) =>
        ask("testDraft", { workflow, linked_account_id: account, ...fields }, protocol);
      const refused = await by({ outputs: { "9": 1, "1": {}, "4": { satisfied: "yes" }, "5": 1, "2[0]": 1 } });
      expect(refused.reason).toBe("VALIDATION_ERROR");
      expect([...(refused.violations ?? [])].sort()).toEqual(
        ["1", "2[0]", "4", "5", "9"].map((id) => `outputs["${id}"]`),
      );
      const { message: other } = await ask("executeWorkflow", {
        workflow: "create-task",
        linked_account_id: account,
        payload: {},
      });
      for (const id of ["000000000000000000000000", Object(other).execution_id]) {
        expect((await by({ outputs_of: { execution_id: id } })).reason).toBe("RESOURCE_NOT_FOUND");
      }
      for (const linked_account_id of ["nobody@acme.io", "gone@acme.io"]) {
        expect((await by({ linked_account_id })).reason).toBe("INVALID_LINKED_ACCOUNT_ID");
      }
    }
  });

  test("is of the draft in the state that is meant, and of one that can run", async () => {
    const workflow = await draft("etags", definition(9));
    const { etag } = Object((await ask("getDraft", { workflow })).message);
    await ask("saveDraft", { workflow, definition: echoDefinition("{{node.9.body}}") });
    for (const protocol of protocols) {
      const fields = { workflow, linked_account_id: account };
      expect((await ask("testDraft", { ...fields, etag }, protocol)).reason).toBe("ETAG_MISMATCH");
      const invalid = await ask("testDraft", fields, protocol);
      expect([invalid.reason, invalid.problems?.length]).toEqual(["WORKFLOW_INVALID", 1]);
    }
    expect((await ask("listExecutions", { workflow })).message).toEqual({ executions: [] });
    const [rest] = protocols;
    const fields = { workflow, linked_account_id: account };
    expect((await rest?.call({ method: method.testDraft, key: productionKey, fields }))?.reason).toBe(
      "WORKFLOW_NOT_FOUND",
    );
  });

  test("cannot be rerun or retried, and goes on in the state that it began in", async () => {
    const workflow = await draft("once", echoDefinition('"first"'));
    const tested = await ask("testDraft", { workflow, linked_account_id: account });
    const { execution_id } = Object(tested.message);
    await ask("saveDraft", { workflow, definition: echoDefinition('"second"') });
    expect((await ask("rerunExecution", { execution_id })).reason).toBe("EXECUTION_IS_TEST");
    expect((await ask("retryNode", { execution_id, node_id: "2" })).reason).toBe("EXECUTION_IS_TEST");
    expect((await ask("getNodeRun", { execution_id, node_id: "2" })).message).toMatchObject({ output: "first" });
    const next = await ask("testDraft", { workflow, linked_account_id: account });
    expect(next.message).toMatchObject({ return_value: "second" });
  });

  test("shows nothing of what nodes hide: not their inputs, nor what others read of them", async () => {
    const workflow = await draft("secrets", {
      nodes: [
        { id: "1", start: { api_call: { payload: { user: "ada" } } } },
        {
          id: "2",
          settings: { hide_node_request: true },
          transform: { query: "{ 'token': {{event.body.user}} & '-7' }" },
        },
        {
          id: "3",
          settings: { encrypted_output_fields: ["a.*.b"] },
          transform: { query: "{ 'a': [{ 'b': { 'c': 'secret-9' }, 'd': 1 }] }" },
        },
        {
          id: "4",
          transform: { query: "{{node.2.body.token}} & {{node.3.body.a.0.b.c}} & $string({{node.3.body.a}}[0].d)" },
        },
        { id: "5", response: { data: "1" } },
      ],
      edges: [
        { source: "1", target: "2" },
        { source: "2", target: "3" },
        { source: "3", target: "4" },
        { source: "4", target: "5" },
      ],
    });
    const { message } = await ask("testDraft", { workflow, linked_account_id: account });
    const runs = runsOf(message);
    expect(runs["2"]).toMatchObject({ input: "[REDACTED]", output: "[REDACTED]" });
    expect(runs["4"]).toMatchObject({
      input: {
        "node.2.body.token": "[REDACTED]",
        "node.3.body.a.0.b.c": "[REDACTED]",
        "node.3.body.a": [{ b: "[REDACTED]", d: 1 }],
      },
      // What it makes of them is its own to hide.
      output: "ada-7secret-91",
    });
  });

  test("takes the output of a node that hides it by hand, keeps it as hidden, and never has it from an execution", async () => {
    const workflow = await draft("hidden-stand-in", {
      nodes: [
        { id: "1", start: { api_call: {} } },
        { id: "2", settings: { hide_node_request: true }, transform: { query: '{ "token": "own" }' } },
        { id: "3", transform: { query: "$length({{node.2.body.token}})" } },
        { id: "4", response: { data: "{{node.3.body}}" } },
      ],
      edges: [
        { source: "1", target: "2" },
        { source: "2", target: "3" },
        { source: "3", target: "4" },
      ],
    });
    // Its one slot is taken, so that a test is queued there and run by the other process.
    const busy = await startBeside(flowcall, { FLOWCALL_SLOTS: "1", FLOWCALL_EGRESS_ALLOW: "127.0.0.0/8" });
    const held: ServerResponse[] = [];
    const upstream = await serve((_, response) => void held.push(response));
    try {
      const [busyRest = never()] = protocolsOf(busy.url);
      for (const protocol of [...protocols, busyRest]) {
        const by = (fields: JsonObject, way = protocol) =>
          ask("testDraft", { workflow, linked_account_id: account, ...fields }, way);
        if (protocol === busyRest) {
          const payload = { url: `http://127.0.0.1:${upstream.port}/`, data: {} };
          await ask("executeWorkflow", { workflow: "call-http", linked_account_id: account, payload }, busyRest);
          await vi.waitFor(() => expect(held).toHaveLength(1));
        }
        const given = await by({ outputs: { "2": { token: "by-hand" } } });
        expect(given.message).toMatchObject({ status: "COMPLETED", return_value: 7 });
        expect(runsOf(given.message)["2"]).toMatchObject({ output: "[REDACTED]", attempts: 0 });
        const { execution_id } = Object(given.message);
        const { rows } = await flowcall.database.query(
          `select string_agg(entries, '') as kept from journal where execution_id = '${execution_id}'`,
        );
        expect(rows[0]?.["kept"]).toContain('"sealed"');
        expect(rows[0]?.["kept"]).not.toContain("by-hand");

        const all = await by({ outputs_of: { execution_id } });
        const attempts = (message: unknown) => ["2", "3"].map((id) => runsOf(message)[id]?.["attempts"]);
        expect([Object(all.message).return_value, ...attempts(all.message)]).toEqual([7, 1, 0]);
        const named = await by({ outputs_of: { execution_id, node_ids: ["3", "2"] } });
        expect([named.reason, named.violations]).toEqual(["VALIDATION_ERROR", ["outputs_of.node_ids[1]"]]);
        expect(named.text).toContain("the node 2, which hides its output");
        const both = { outputs_of: { execution_id, node_ids: ["2", "3"] }, outputs: { "2": { token: "x" } } };
        expect(attempts((await by(both)).message)).toEqual([0, 0]);
      }
    } finally {
      for (const response of held) {
        response.end("{}");
      }
      await busy.stop();
    }
  });

  test("reaches into Groups by the path of a node in the run", async () => {
    const workflow = await draft("groups", {
      nodes: [
        { id: "1", start: { api_call: { payload: { items: [1, 2] } } } },
        { id: "2", group: { array: "{{event.body.items}}", output: "{{node.3.body}}" } },
        { id: "3", group_id: "2", transform: { query: "{{node.2.body.array_item}} * 10" } },
        { id: "4", response: { data: "{{node.2.body}}" } },
      ],
      edges: [
        { source: "1", target: "2" },
        { source: "2", target: "3", port: "each" },
        { source: "2", target: "4" },
      ],
    });
    const { message } = await ask("testDraft", {
      workflow,
      linked_account_id: account,
      outputs: { "2[1]/3": "given" },
    });
    expect(message).toMatchObject({ return_value: [10, "given"] });
    expect(runsOf(message)["2[0]/3"]).toMatchObject({ input: { "node.2.body.array_item": 1 }, output: 10 });
  });
});
