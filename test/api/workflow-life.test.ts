import type { JsonObject } from "@bufbuild/protobuf";
import pg from "pg";
import { describe, expect, test, vi } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { until } from "../support/eventually.ts";
import { echoDefinition, productionKey, putWorkflow, testKey } from "../support/flowcall.ts";
import { type ApiAnswer, protocolsOf } from "./protocols.ts";
import { useFlowcall } from "./use-flowcall.ts";

const method = { ...WorkflowService.method, ...ExecutionService.method };
const account = "john@acme.io";

const flowcall = await useFlowcall();
const protocols = protocolsOf(flowcall.url);

type UnaryName = Exclude<keyof typeof method, "watchExecution">;
type Call = (name: UnaryName, fields: JsonObject, key?: string) => Promise<ApiAnswer>;

/** Runs the same steps over each protocol, with a published workflow for each that answers 1, in version 1. */
async function overEach(steps: (call: Call, alias: string, id: string) => Promise<void>): Promise<void> {
  for (const { name, call } of protocols) {
    const alias = `life-${name.toLowerCase().replaceAll(" ", "-")}-${Math.random().toString(36).slice(2)}`;
    const id = await putWorkflow(flowcall.url, { alias, definition: echoDefinition("1") });
    await steps((rpc, fields, key = testKey) => call({ method: method[rpc], fields, key }), alias, id);
  }
}

function messageOf({ message }: ApiAnswer) {
  return Object(message);
}

/** What a synchronous call answers, or why it is refused. */
async function executed(call: Call, workflow: string, fields: JsonObject = {}): Promise<unknown> {
  const { message, reason } = await call("executeWorkflow", {
    workflow,
    linked_account_id: account,
    sync_execution: true,
    payload: {},
    ...fields,
  });
  return reason ?? Object(message).return_value;
}

async function publish(call: Call, workflow: string, data: string): Promise<void> {
  await call("saveDraft", { workflow, definition: echoDefinition(data) });
  await call("publishWorkflow", { workflow });
}

describe("a workflow is changed", () => {
  test("by what is sent, and keeps the rest", async () => {
    await overEach(async (call, alias, id) => {
      const renamed = await call("updateWorkflow", { workflow: alias, name: "New", description: "Why" });
      expect(renamed.message).toMatchObject({ id, name: "New", description: "Why", alias, payload: {} });
      const bare = await call("updateWorkflow", { workflow: id, description: "", alias: "" });
      expect(bare.message).toMatchObject({ id, name: "New", url: `${flowcall.url}/api/v1/workflow/${id}/execute` });
      expect(bare.message).not.toHaveProperty("alias");
      expect(bare.message).not.toHaveProperty("description");
      expect(await executed(call, alias)).toBe("WORKFLOW_NOT_FOUND");
      expect(await executed(call, id)).toBe(1);
      const other = `other-${alias}`;
      const named = await call("updateWorkflow", { workflow: id, alias: other });
      expect((await call("getWorkflow", { workflow: other })).message).toEqual(named.message);
    });
  });

  test("once for each state: of two editors the second is refused and loses nothing", async () => {
    await overEach(async (call, alias) => {
      const { etag } = messageOf(await call("getWorkflow", { workflow: alias }));
      const first = await call("updateWorkflow", { workflow: alias, name: "First", etag });
      for (const refused of [
        await call("updateWorkflow", { workflow: alias, name: "Second", etag }),
        await call("unpublishWorkflow", { workflow: alias, etag }),
        await call("restoreVersion", { workflow: alias, version: 1, etag }),
        await call("deleteWorkflow", { workflow: alias, etag }),
      ]) {
        expect(refused).toMatchObject({ reason: "ETAG_MISMATCH" });
        expect(refused.code ?? refused.status).toBe(refused.status === undefined ? "Aborted" : 412);
      }
      expect((await call("getWorkflow", { workflow: alias })).message).toEqual(first.message);
      const { etag: current } = messageOf(first);
      expect((await call("updateWorkflow", { workflow: alias, name: "Third", etag: current })).message).toMatchObject({
        name: "Third",
      });
    });
  });

  test("to no alias that is taken or looks like an id", async () => {
    await overEach(async (call, alias, id) => {
      const other = await putWorkflow(flowcall.url, { alias: `taken-${alias}`, definition: echoDefinition("2") });
      const refusals = await Promise.all([
        call("updateWorkflow", { workflow: id, alias: `taken-${alias}` }),
        call("updateWorkflow", { workflow: id, alias: other }),
        call("updateWorkflow", { workflow: id, alias: "-" }),
        call("updateWorkflow", { workflow: id, name: "" }),
      ]);
      expect(refusals.map(({ reason }) => reason)).toEqual(["ALIAS_TAKEN", ...Array(3).fill("VALIDATION_ERROR")]);
      expect((await call("getWorkflow", { workflow: id })).message).toMatchObject({ alias });
    });
  });
});

describe("a workflow is rolled back", () => {
  test("to an earlier version, which is published as the next one, while calls may still name any", async () => {
    await overEach(async (call, alias, id) => {
      await publish(call, alias, "2");
      expect(await executed(call, alias)).toBe(2);
      expect((await call("restoreVersion", { workflow: alias, version: 1 })).message).toEqual({
        workflow_id: id,
        version: 3,
        warnings: [],
      });
      expect(await executed(call, alias)).toBe(1);
      expect(await executed(call, alias, { workflow_version: 2 })).toBe(2);
      expect(await executed(call, alias, { workflow_version: 4 })).toBe("WORKFLOW_VERSION_NOT_FOUND");
      const third = await call("getVersion", { workflow: alias, version: 3 });
      expect(third.message).toMatchObject({ version: 3, is_current: true, definition: echoDefinition("1") });
      expect((await call("getDraft", { workflow: alias })).message).toMatchObject({ definition: echoDefinition("2") });
      for (const rpc of ["getVersion", "restoreVersion"] as const) {
        expect((await call(rpc, { workflow: alias, version: 4 })).reason).toBe("WORKFLOW_VERSION_NOT_FOUND");
        expect((await call(rpc, { workflow: alias, version: 0 })).reason).toBe("VALIDATION_ERROR");
      }
    });
  });

  test("its versions are listed newest first, a page at a time", async () => {
    await overEach(async (call, alias, id) => {
      await publish(call, alias, "2");
      await publish(call, alias, "3");
      const first = messageOf(await call("listVersions", { workflow: alias, page_size: 2 }));
      const entry = (version: number) => ({ workflow_id: id, version, create_time: expect.any(String) });
      expect(first.versions).toEqual([
        { ...entry(3), is_current: true },
        { ...entry(2), is_current: false },
      ]);
      const page_token = first.next_page_token;
      const second = await call("listVersions", { workflow: alias, page_token });
      expect(second.message).toEqual({ versions: [{ ...entry(1), is_current: false }] });
      const other = await putWorkflow(flowcall.url, { alias: `other-${alias}`, definition: echoDefinition("1") });
      expect((await call("listVersions", { workflow: other, page_token })).reason).toBe("VALIDATION_ERROR");
    });
  });
});

describe("a workflow ends", () => {
  test("for calls when it is unpublished, until it is published again", async () => {
    await overEach(async (call, alias, id) => {
      const unpublished = await call("unpublishWorkflow", { workflow: alias });
      expect(unpublished.message).toMatchObject({ id, alias, payload: {} });
      expect(unpublished.message).not.toHaveProperty("current_version");
      expect(await executed(call, alias)).toBe("WORKFLOW_NOT_PUBLISHED");
      expect(await executed(call, alias, { workflow_version: 1 })).toBe("WORKFLOW_NOT_PUBLISHED");
      expect((await call("unpublishWorkflow", { workflow: alias })).reason).toBe("WORKFLOW_NOT_PUBLISHED");
      expect((await call("publishWorkflow", { workflow: alias })).message).toMatchObject({ version: 2 });
      expect(await executed(call, alias)).toBe(1);
    });
  });

  test("for good when it is deleted: what ran stays, its alias is free, and nothing else finds it", async () => {
    await overEach(async (call, alias, id) => {
      const started = { workflow: alias, linked_account_id: account, sync_execution: true, payload: { n: 1 } };
      const { execution_id } = messageOf(await call("executeWorkflow", started));
      expect((await call("deleteWorkflow", { workflow: alias }, productionKey)).reason).toBe("WORKFLOW_NOT_FOUND");
      expect((await call("deleteWorkflow", { workflow: alias })).message).toEqual({});

      const read = await call("getExecution", { execution_id });
      expect(read.message).toMatchObject({ workflow_id: id, state: "COMPLETED", response: 1, slug: "asana" });
      const listed = messageOf(await call("listExecutions", { workflow: id }));
      expect(listed.executions.map((one: { id: string }) => one.id)).toEqual([execution_id]);
      const node = await call("getNodeRun", { execution_id, node_id: "2" });
      expect(node.message).toMatchObject({ name: "Response", output: 1 });

      for (const workflow of [alias, id]) {
        expect(await executed(call, workflow)).toBe("WORKFLOW_NOT_FOUND");
        for (const rpc of ["getWorkflow", "getDraft", "publishWorkflow", "deleteWorkflow", "listVersions"] as const) {
          expect([rpc, (await call(rpc, { workflow })).reason]).toEqual([rpc, "WORKFLOW_NOT_FOUND"]);
        }
      }
      expect(await executed(call, id, { workflow_version: 1 })).toBe("WORKFLOW_NOT_FOUND");
      expect((await call("rerunExecution", { execution_id })).reason).toBe("WORKFLOW_NOT_FOUND");
      const page = messageOf(await call("listWorkflows", { slug: "asana", page_size: 200 }));
      expect(page.workflows.map((one: { id: string }) => one.id)).not.toContain(id);

      const next = await putWorkflow(flowcall.url, { alias, definition: echoDefinition("2") });
      expect(next).not.toBe(id);
      expect(await executed(call, alias)).toBe(2);
    });
  });
});

describe("a draft is checked", () => {
  const broken = {
    nodes: [
      { id: "1", name: "Start", start: { api_call: {} } },
      { id: "2", name: "Sum", transform: { query: "1 +" } },
      { id: "3", name: "Alone", transform: { query: "1" } },
    ],
    edges: [
      { source: "1", target: "2" },
      { source: "2", target: "4" },
    ],
  };
  const found = {
    errors: [
      { field: "edges[1].target", reason: "EDGE_NODE_UNKNOWN", message: expect.stringContaining('"4"') },
      { node_id: "2", field: "transform.query", reason: "EXPRESSION_INVALID", message: expect.any(String) },
    ],
    warnings: [],
  };

  test("for every problem and every warning at once, without being published", async () => {
    await overEach(async (call, alias) => {
      await call("saveDraft", { workflow: alias, definition: broken });
      const { etag } = messageOf(await call("getDraft", { workflow: alias }));
      expect((await call("validateDraft", { workflow: alias })).message).toEqual({ ...found, etag });
      expect((await call("validateDefinition", { definition: broken })).message).toEqual(found);
      const nodes = broken.nodes.filter(({ id }) => id !== "2");
      const runnable = { nodes, edges: [] };
      const warned = await call("validateDraft", { workflow: alias, definition: runnable });
      expect(warned.message).toMatchObject({
        errors: [],
        warnings: [{ node_id: "3", field: "id", reason: "NODE_UNREACHABLE" }],
      });
      expect((await call("getDraft", { workflow: alias })).message).toMatchObject({ definition: broken, etag });
    });
  });

  test("a definition of no workflow is checked too, and nothing of it is kept", async () => {
    await overEach(async (call) => {
      const listed = messageOf(await call("listWorkflows", { slug: "asana" }));
      const definition = echoDefinition("1", { api_call: { payload: { customer: "ada" } } });
      const found = await call("validateDefinition", { definition, derive_schema: true });
      expect(found.message).toMatchObject({ errors: [], warnings: [], derived_schema: { required: ["customer"] } });
      expect((await call("validateDefinition", {})).violations).toEqual(["definition"]);
      expect(messageOf(await call("listWorkflows", { slug: "asana" }))).toEqual(listed);
    });
  });

  test("a draft with hundreds of problems is refused with as many of them as a reply can carry", async () => {
    const nodes = Array.from({ length: 499 }, (_, index) => ({ id: `n${index}`, transform: { query: "1 +" } }));
    const edges = nodes.map(({ id }) => ({ source: "1", target: id }));
    const definition = { nodes: [{ id: "1", start: { api_call: {} } }, ...nodes], edges };
    await overEach(async (call, alias) => {
      await call("saveDraft", { workflow: alias, definition });
      const { errors = [] } = messageOf(await call("validateDraft", { workflow: alias }));
      expect(errors).toHaveLength(101);
      expect(errors.at(-1)).toMatchObject({
        reason: "TOO_MANY_PROBLEMS",
        message: expect.stringContaining("399 more"),
      });
      const refused = await call("publishWorkflow", { workflow: alias });
      expect(refused.reason).toBe("WORKFLOW_INVALID");
      expect(refused.problems?.length).toBeGreaterThan(10);
      expect(refused.text).toContain("more than 100 problems");
    });
  });
});

test("what authors and operators do takes one round trip to the database, or two", async () => {
  const [{ call } = { call: undefined }] = protocols;
  if (call === undefined) {
    throw new Error("there is no protocol");
  }
  const sent = vi.spyOn(pg.Client.prototype, "query");
  /** The statements that name one of these. What tells other processes of an end comes behind the reply. */
  const statementsOf = async (rpc: UnaryName, fields: JsonObject, names: readonly string[]) => {
    sent.mockClear();
    const answer = await call({ method: method[rpc], fields, key: testKey });
    const calls: readonly (readonly unknown[])[] = sent.mock.calls;
    const isNamed = (value: unknown) => typeof value === "string" && names.some((name) => value.includes(name));
    const statements = calls.filter(([query, given]) => {
      // One that is prepared is an object.
      const { text = query, values = given } = Object(query) as { readonly text?: unknown; readonly values?: unknown };
      return Array.isArray(values) && values.some(isNamed) && !String(text).includes("pg_notify");
    });
    return { answer, count: statements.length };
  };
  const alias = "few-statements";
  const created = await statementsOf("createWorkflow", { slug: "asana", name: "Few", alias }, [alias]);
  const names = [alias, messageOf(created.answer).id];
  const counts: Record<string, number> = { createWorkflow: created.count };
  const steps: readonly (readonly [UnaryName, JsonObject])[] = [
    ["saveDraft", { definition: echoDefinition("1") }],
    ["getDraft", {}],
    ["publishWorkflow", {}],
    ["restoreVersion", { version: 1 }],
    ["getVersion", { version: 1 }],
    ["getWorkflow", {}],
    ["updateWorkflow", { name: "Fewer" }],
    ["unpublishWorkflow", {}],
    ["deleteWorkflow", {}],
  ];
  const refused = await statementsOf("saveDraft", { workflow: alias, definition: {}, etag: "7" }, names);
  counts["saveDraft, refused"] = refused.count;
  for (const [rpc, fields] of steps) {
    const { answer, count } = await statementsOf(rpc, { workflow: alias, ...fields }, names);
    expect([rpc, answer.reason]).toEqual([rpc, undefined]);
    counts[rpc] = count;
  }
  // Asleep, so that the run itself sends nothing meanwhile.
  const nodes = [
    { id: "1", start: { api_call: {} } },
    { id: "2", delay: { seconds: "600" } },
  ];
  const asleep = { nodes, edges: [{ source: "1", target: "2" }] };
  await putWorkflow(flowcall.url, { alias: "few-asleep", definition: asleep });
  const start = { workflow: "few-asleep", linked_account_id: account, payload: {} };
  const { execution_id } = messageOf(await call({ method: method.executeWorkflow, fields: start, key: testKey }));
  const get = { method: method.getExecution, fields: { execution_id }, key: testKey };
  await until("the execution sleeps", async () => messageOf(await call(get)).state === "WAITING");
  for (const rpc of ["stopExecution", "getExecution"] as const) {
    counts[rpc] = (await statementsOf(rpc, { execution_id }, [execution_id])).count;
  }
  sent.mockRestore();
  expect(counts).toEqual({
    createWorkflow: 1,
    "saveDraft, refused": 2,
    saveDraft: 1,
    getDraft: 1,
    publishWorkflow: 2,
    restoreVersion: 2,
    getVersion: 1,
    getWorkflow: 1,
    updateWorkflow: 1,
    unpublishWorkflow: 1,
    deleteWorkflow: 1,
    getExecution: 2,
    // What is stopped may be waited for, and may wait for others: its claim is locked, and its children are looked for.
    stopExecution: 4,
  });
});
