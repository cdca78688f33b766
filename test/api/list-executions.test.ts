import type { JsonObject } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { type Flowcall, productionKey, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";
import { account, aTime, type ExecutionCalls, executionCalls, invalid, type Refusal } from "./execution-calls.ts";

const { getExecution, listExecutions, stopExecution } = ExecutionService.method;

/** Waits for an hour: in one wait, or in waits that are too short to sleep through. */
function hour(wait: JsonObject): JsonObject {
  return {
    nodes: [
      { id: "1", start: { api_call: {} } },
      { id: "2", group: { count: "7200", concurrency: 1 } },
      { id: "3", group_id: "2", delay: wait },
    ],
    edges: [
      { source: "1", target: "2" },
      { source: "2", target: "3", port: "each" },
    ],
  };
}

let flowcall: Flowcall;
let calls: ExecutionCalls;
/** Of the tag `listed`, from the oldest on; the last two of them go on for an hour. */
let ids: readonly string[];

beforeAll(async () => {
  flowcall = await startFlowcall();
  calls = executionCalls(flowcall.url);
  await putWorkflow(flowcall.url, { alias: "sleeps", definition: hour({ seconds: "3600" }) });
  await putWorkflow(flowcall.url, { alias: "runs", definition: hour({ seconds: "0.5" }) });
  const started: string[] = [];
  for (const fields of [
    { workflow: "create-task", sync_execution: true },
    { workflow: "create-task", sync_execution: true },
    { workflow: "always-fails", sync_execution: true },
    { workflow: "sleeps" },
    { workflow: "runs" },
  ]) {
    // Within one millisecond the order would be that of the ids, which is none.
    const before = Date.now();
    while (Date.now() - before < 2) {}
    started.push(await calls.start({ tag: "listed", ...fields }));
  }
  ids = started;
  await calls.until(getExecution, { execution_id: ids[3] ?? "" }, { state: "WAITING" });
});

afterAll(async () => {
  await calls?.ask(stopExecution, { execution_id: ids?.[4] ?? "" });
  await flowcall?.stop();
});

function newest(...places: readonly number[]): readonly (string | undefined)[] {
  return places.map((place) => ids[place]);
}

/** The ids that each protocol lists, and the token of the next page. */
async function list(fields: JsonObject) {
  const all = await Promise.all(
    calls.protocols.map(({ call }) => call({ method: listExecutions, key: testKey, fields })),
  );
  const pages = all.map(({ message, reason }) => {
    const { executions, next_page_token } = Object(message);
    return { reason, ids: executions?.map(({ id }: { id: string }) => id), token: next_page_token };
  });
  for (const page of pages) {
    expect(page).toEqual(pages[0]);
  }
  return { ids: pages[0]?.ids, token: String(pages[0]?.token) };
}

describe("a list of executions", () => {
  test("has the newest first, each as GetExecution says it but for what it was given and what ran", async () => {
    expect((await list({ tag: "listed" })).ids).toEqual(newest(4, 3, 2, 1, 0));
    const whole = Object((await calls.ask(getExecution, { execution_id: ids[0] ?? "" })).message);
    const { payload, response, ...summary } = whole;
    await calls.check(
      listExecutions,
      { tag: "listed", state: "COMPLETED", workflow: "create-task", page_size: 200 },
      { executions: [expect.objectContaining({ id: ids[1] }), { ...summary, node_runs: [], create_time: aTime }] },
    );
    expect([payload, response]).toEqual([expect.anything(), expect.anything()]);
  });

  test.each<[string, JsonObject, readonly number[]]>([
    ["a workflow by its alias", { workflow: "create-task" }, [1, 0]],
    ["a workflow by its alias and slug", { workflow: "create-task", slug: "asana" }, [1, 0]],
    ["a state", { state: "ERRORED" }, [2]],
    ["a state that is not final", { state: "RUNNING" }, [4]],
    ["a state in which nothing is run", { state: "WAITING" }, [3]],
    ["a state that none is in", { state: "QUEUED" }, []],
    ["any of some states", { states: ["RUNNING", "ERRORED", "WAITING"] }, [4, 3, 2]],
    ["a reason", { error_reason: "DIVISION_BY_ZERO" }, []],
    ["a node that failed", { error_node_id: "nobody" }, []],
    ["the beginning of an id that none has", { id_prefix: "0000" }, []],
    ["a type", { type: "ASYNC" }, [4, 3]],
    ["a source", { source: "API_CALL" }, [4, 3, 2, 1, 0]],
    ["a source that started none", { source: "RERUN" }, []],
    ["an account", { linked_account_id: account }, [4, 3, 2, 1, 0]],
    ["an account that none ran for", { linked_account_id: "jane@acme.io" }, []],
    ["a time that is past", { created_before: "2020-01-01T00:00:00Z" }, []],
    ["a time to come", { created_since: "2100-01-01T01:00:00+01:00" }, []],
    ["both", { created_since: "2020-01-01T00:00:00Z", created_before: "2100-01-01T00:00:00Z" }, [4, 3, 2, 1, 0]],
    ["all at once", { workflow: "create-task", state: "COMPLETED", type: "SYNC", source: "API_CALL" }, [1, 0]],
  ])("can be asked for %s", async (_, filter, expected) => {
    expect((await list({ tag: "listed", ...filter })).ids).toEqual(newest(...expected));
  });

  test("can be asked for from the time of one on, that one included, or up to it without it", async () => {
    const { create_time } = Object((await calls.ask(getExecution, { execution_id: ids[1] ?? "" })).message);
    expect((await list({ tag: "listed", created_since: create_time })).ids).toEqual(newest(4, 3, 2, 1));
    expect((await list({ tag: "listed", created_before: create_time })).ids).toEqual(newest(0));
  });

  test("can be asked for by why, where, and the id", async () => {
    const { error } = Object((await calls.ask(getExecution, { execution_id: ids[2] ?? "" })).message);
    const filter = { tag: "listed", error_reason: error.reason, error_node_id: error.node_id };
    expect((await list(filter)).ids).toEqual(newest(2));
    expect((await list({ ...filter, id_prefix: ids[2]?.slice(0, 23) ?? "" })).ids).toEqual(newest(2));
    expect((await list({ tag: "listed", id_prefix: ids[0]?.slice(0, 4) ?? "" })).ids).toEqual(newest(4, 3, 2, 1, 0));
  });

  test("is of one environment", async () => {
    for (const { name, call } of calls.protocols) {
      const { message } = await call({ method: listExecutions, key: productionKey, fields: {} });
      expect([name, message]).toEqual([name, { executions: [] }]);
    }
  });

  test("comes in pages, whose tokens are of that list alone", async () => {
    const filter = { tag: "listed", type: "SYNC" };
    const first = await list({ ...filter, page_size: 2 });
    expect(first.ids).toEqual(newest(2, 1));
    const second = await list({ ...filter, page_size: 2, page_token: first.token });
    expect(second).toEqual({ ids: newest(0), token: "undefined" });
    const refusal = { ...invalid, text: /page_token/ };
    for (const other of [{ tag: "listed" }, { ...filter, linked_account_id: account }, { ...filter, tag: "other" }]) {
      await calls.checkRefused(listExecutions, { ...other, page_token: first.token }, refusal);
    }
    const foreign = { ...filter, page_token: first.token };
    await calls.checkRefused(listExecutions, foreign, refusal, { key: productionKey });
  });
});

const workflowNotFound: Refusal = { status: 404, code: "NotFound", reason: "WORKFLOW_NOT_FOUND" };

describe("a list of executions is refused", () => {
  test.each<[string, JsonObject, Refusal]>([
    ["a page of none", { page_size: 0 }, { ...invalid, text: /page_size/ }],
    ["a page of fewer", { page_size: -1 }, { ...invalid, text: /page_size/ }],
    ["a page that is too large", { page_size: 201 }, { ...invalid, text: /page_size/ }],
    ["a token that no page gave", { page_token: "nonsense" }, { ...invalid, text: /page_token/ }],
    ["a token that is too long", { page_token: "x".repeat(201) }, { ...invalid, text: /page_token/ }],
    ["a state that is none", { state: 99 }, { ...invalid, text: /state/ }],
    ["an unspecified state", { state: 0 }, { ...invalid, text: /state/ }],
    ["a state in both ways", { state: "ERRORED", states: ["ERRORED"] }, { ...invalid, text: /set one of them/ }],
    ["a state twice", { states: ["ERRORED", "ERRORED"] }, { ...invalid, text: /states/ }],
    ["an unspecified state among others", { states: ["ERRORED", 0] }, { ...invalid, text: /states/ }],
    ["a reason that is none", { error_reason: "why not" }, { ...invalid, text: /error_reason/ }],
    ["an empty node", { error_node_id: "" }, { ...invalid, text: /error_node_id/ }],
    ["a prefix that no id has", { id_prefix: "xyz" }, { ...invalid, text: /id_prefix/ }],
    ["a source that is none", { source: 99 }, { ...invalid, text: /source/ }],
    ["a type that is none", { type: 99 }, { ...invalid, text: /type/ }],
    ["an empty tag", { tag: "" }, { ...invalid, text: /tag/ }],
    ["a time before there was any", { created_since: "1969-12-31T23:59:59Z" }, { ...invalid, text: /created_since/ }],
    ["a slug without a workflow", { slug: "asana" }, { ...invalid, text: /slug/ }],
    ["a workflow that is no reference", { workflow: "a b" }, { ...invalid, text: /workflow/ }],
    ["an unknown workflow", { workflow: "nobody" }, workflowNotFound],
    ["a workflow of another integration", { workflow: "create-task", slug: "nobody" }, workflowNotFound],
  ])("for %s", async (_, fields, refusal) => {
    await calls.checkRefused(listExecutions, fields, refusal);
  });

  test("without a key", async () => {
    const refusal = { status: 401, code: "Unauthenticated", reason: "INVALID_API_KEY" };
    await calls.checkRefused(listExecutions, {}, refusal, { key: "tk-nobody" });
  });

  // What has no binary form that could be sent.
  test.each([
    "state=NOBODY",
    "state=completed",
    "created_since=yesterday",
    "created_before=2024-13-01T00:00:00Z",
    "page_size=ten",
  ])("by REST for the query %s", async (query) => {
    const reply = await fetch(`${flowcall.url}/api/v1/execution?${query}`, { headers: { "x-api-key": testKey } });
    expect([reply.status, await reply.json()]).toEqual([
      400,
      expect.objectContaining({
        error_code: "VALIDATION_ERROR",
        message: expect.stringContaining(query.split("=", 1)[0] ?? ""),
      }),
    ]);
  });
});
