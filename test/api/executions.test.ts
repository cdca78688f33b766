import type { DescMethodUnary, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import {
  echoDefinition,
  type Flowcall,
  productionKey,
  putWorkflow,
  startFlowcall,
  testKey,
} from "../support/flowcall.ts";
import { type ApiAnswer, type ApiProtocol, protocolsOf } from "./protocols.ts";

const { executeWorkflow, getExecution, getNodeRun } = ExecutionService.method;

const account = "john@acme.io";
const other = "jane@acme.io";
const unknownId = "0123456789abcdef01234567";
const payload = { "Task Name": "Sample task", Assigned_to: "John Doe" };
const note = { success: "true", new_note: "Sample task (assigned to John Doe)" };
const anId = expect.stringMatching(/^[0-9a-f]{24}$/);
const aTime = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);

let flowcall: Flowcall;
let protocols: readonly ApiProtocol[];

beforeAll(async () => {
  flowcall = await startFlowcall();
  protocols = protocolsOf(flowcall.url);
});

afterAll(async () => flowcall?.stop());

/** Where a case runs: every protocol of the file's service, unless told otherwise. */
type Place = { readonly at?: readonly ApiProtocol[]; readonly key?: string };

/** Runs a case over every protocol and answers what each said. */
async function everywhere(method: DescMethodUnary, fields: JsonObject, { at = protocols, key = testKey }: Place = {}) {
  return Promise.all(
    at.map(async (protocol) => ({ name: protocol.name, answer: await protocol.call({ method, fields, key }) })),
  );
}

/** Each protocol answers a message that matches. */
async function check(method: DescMethodUnary, fields: JsonObject, expected: JsonObject) {
  for (const { name, answer } of await everywhere(method, fields)) {
    expect([name, answer.reason, answer.message]).toEqual([name, undefined, expected]);
  }
}

type Refusal = { readonly status: number; readonly code: string; readonly reason: string; readonly text?: RegExp };

async function checkRefused(method: DescMethodUnary, fields: JsonObject, refusal: Refusal, place?: Place) {
  for (const { name, answer } of await everywhere(method, fields, place)) {
    expect([name, answer.reason]).toEqual([name, refusal.reason]);
    expect([name, answer.status ?? answer.code]).toEqual([name, name === "REST" ? refusal.status : refusal.code]);
    if (refusal.text !== undefined) expect([name, answer.text]).toEqual([name, expect.stringMatching(refusal.text)]);
  }
}

/** Starts an execution and answers its id; waits for its end where the call is synchronous. */
async function start(fields: JsonObject = {}, at = protocols): Promise<string> {
  const all = { workflow: "create-task", linked_account_id: account, payload, ...fields };
  const { headers } = await ask(executeWorkflow, all, at);
  return headers.get("x-execution-id") ?? "";
}

/** One call, over REST. */
async function ask(method: DescMethodUnary, fields: JsonObject, [rest] = protocols): Promise<ApiAnswer> {
  if (rest === undefined) throw new Error("there is no REST");
  return rest.call({ method, fields, key: testKey });
}

/** Asks again until the answer is as wanted: the only way to learn of what goes on in the service. */
async function until(method: DescMethodUnary, fields: JsonObject, wanted: JsonObject): Promise<void> {
  while (!matches((await ask(method, fields)).message, wanted)) await new Promise((resolve) => setTimeout(resolve, 20));
}

function matches(message: JsonValue | undefined, wanted: JsonObject): boolean {
  const fields = typeof message === "object" && message !== null && !Array.isArray(message) ? message : {};
  return Object.entries(wanted).every(([name, value]) => JSON.stringify(fields[name]) === JSON.stringify(value));
}

const notFound: Refusal = { status: 404, code: "NotFound", reason: "RESOURCE_NOT_FOUND" };
const invalid: Refusal = { status: 400, code: "InvalidArgument", reason: "VALIDATION_ERROR" };

function run(node_id: string, name: string, rest: JsonObject = {}): JsonObject {
  return {
    node_id,
    path: node_id,
    name,
    state: "SUCCESS",
    attempts: 1,
    start_time: aTime,
    end_time: aTime,
    notes: [],
    ...rest,
  };
}

describe("an execution", () => {
  test("is answered whole, with its node runs and without their data", async () => {
    const id = await start({ sync_execution: true, slug: "asana", tag: "blue", config_id: "c1" });
    const expected = {
      id,
      workflow_id: anId,
      slug: "asana",
      workflow_version: 1,
      linked_account_id: account,
      config_id: "c1",
      tag: "blue",
      state: "COMPLETED",
      status: "COMPLETED",
      type: "SYNC",
      source: "API_CALL",
      payload,
      response: note,
      create_time: aTime,
      end_time: aTime,
      node_runs: [run("1", "Start"), run("2", "Write the note"), run("3", "Response")],
    };
    await check(getExecution, { execution_id: id }, expected);
    await check(getExecution, { execution_id: id.toUpperCase(), linked_account_id: account }, expected);
  });

  test("says why it failed, and at which node", async () => {
    const error = { reason: "TERMINATED", message: "This workflow always fails.", node_id: "3", node_name: "Give up" };
    const id = await start({ workflow: "always-fails", sync_execution: true });
    const { message } = await ask(getExecution, { execution_id: id });
    expect(message).toMatchObject({ state: "ERRORED", status: "ERRORED", error });
    expect(message).not.toHaveProperty("response");
    expect(message).toMatchObject({
      node_runs: [
        run("1", "Start"),
        { state: "SUCCESS", port: "true" },
        run("3", "Give up", { state: "ERRORED", error }),
      ],
    });
  });

  test("shows, while it runs, the node runs that are recorded so far, and no waits among them", async () => {
    const id = await start({ workflow: "slow-task" });
    await until(getExecution, { execution_id: id }, {});
    const { message, headers } = await ask(getExecution, { execution_id: id });
    expect(message).toMatchObject({ state: "RUNNING", status: "RUNNING", type: "ASYNC" });
    expect(message).not.toHaveProperty("end_time");
    expect([headers.get("x-execution-id"), headers.get("x-execution-status")]).toEqual([id, "RUNNING"]);
    await until(getNodeRun, { execution_id: id, node_id: "1" }, { state: "SUCCESS" });
    expect((await ask(getExecution, { execution_id: id })).message).toMatchObject({ node_runs: [run("1", "Start")] });
  });

  test("shows the nodes inside of a Group one by one and not among its own", async () => {
    const id = await start({ workflow: "batch-notes", payload: { items: ["a", "b"] } });
    await until(getExecution, { execution_id: id }, { state: "COMPLETED" });
    const { message } = await ask(getExecution, { execution_id: id });
    expect(message).toMatchObject({ node_runs: [{ node_id: "1" }, { node_id: "2" }, { node_id: "4" }] });
    await check(
      getNodeRun,
      { execution_id: id, node_id: "2[1]/3" },
      { ...run("3", "Write the note"), path: "2[1]/3", output: expect.anything() },
    );
  });

  test("that is too large for one reply is refused, with the calls that answer it in parts", async () => {
    const small = await startFlowcall({ FLOWCALL_TRANSPORT_BYTES: "100000" });
    try {
      const workflow = "large";
      await putWorkflow(small.url, { alias: workflow, definition: echoDefinition("{{event.body}}") });
      const at = protocolsOf(small.url);
      const large = { text: "x".repeat(60_000) };
      const id = await start({ workflow, payload: large, sync_execution: true }, at);
      const refusal = {
        status: 413,
        code: "ResourceExhausted",
        reason: "REPLY_TOO_LARGE",
        text: /GetExecutionResponse/,
      };
      await checkRefused(getExecution, { execution_id: id }, refusal, { at });
      expect((await ask(getNodeRun, { execution_id: id, node_id: "2" }, at)).message).toMatchObject({ output: large });
    } finally {
      await small.stop();
    }
  });
});

describe("a node run", () => {
  test("is answered with its output", async () => {
    const id = await start({ sync_execution: true });
    const expected = run("2", "Write the note", { output: note });
    await check(getNodeRun, { execution_id: id, node_id: "2" }, expected);
    await check(getNodeRun, { execution_id: id, node_id: "1" }, run("1", "Start"));
  });

  test("is not found where there is no record of it", async () => {
    const id = await start({ workflow: "slow-task" });
    await checkRefused(getNodeRun, { execution_id: id, node_id: "3" }, notFound);
    await checkRefused(getNodeRun, { execution_id: id, node_id: "nobody" }, notFound);
    await until(getNodeRun, { execution_id: id, node_id: "1" }, { state: "SUCCESS" });
    await checkRefused(getNodeRun, { execution_id: id, node_id: "2#wait" }, notFound);
  });
});

/** Every call that names one execution. */
const calls: readonly (readonly [string, DescMethodUnary, JsonObject])[] = [
  ["GetExecution", getExecution, {}],
  ["GetNodeRun", getNodeRun, { node_id: "2" }],
];

describe.each(calls)("a call about one execution keeps its bounds: %s", (_, method, fields) => {
  test("one of another account or environment, and one that does not exist, is not found", async () => {
    const execution_id = await start({ sync_execution: true });
    const refusal = { ...notFound, text: /^Execution not found\.$/ };
    await checkRefused(method, { ...fields, execution_id, linked_account_id: other }, refusal);
    await checkRefused(method, { ...fields, execution_id }, refusal, { key: productionKey });
    await checkRefused(method, { ...fields, execution_id: unknownId }, refusal);
    await checkRefused(method, { ...fields, execution_id: "nonsense" }, refusal);
    await checkRefused(method, { ...fields, execution_id: "x".repeat(129) }, { ...invalid, text: /execution_id/ });
  });

  test("a key is asked for", async () => {
    const refusal = { status: 401, code: "Unauthenticated", reason: "INVALID_API_KEY" };
    await checkRefused(method, { ...fields, execution_id: unknownId }, refusal, { key: "tk-nobody" });
  });
});
