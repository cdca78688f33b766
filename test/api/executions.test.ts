import type { DescMethodUnary, JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { echoDefinition, productionKey, putWorkflow, startFlowcall } from "../support/flowcall.ts";
import { account, aTime, executionCalls, invalid, notFound, payload, unknownId } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { getExecution, getNodeRun, listIterations, stopExecution } = ExecutionService.method;

const other = "jane@acme.io";
const note = { success: "true", new_note: "Sample task (assigned to John Doe)" };
const anId = expect.stringMatching(/^[0-9a-f]{24}$/);

const flowcall = await useFlowcall();
const calls = executionCalls(flowcall.url);

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
    console: [],
    attempt_list: [],
    ...rest,
  };
}

describe("an execution", () => {
  test("is answered whole, with its node runs and without their data", async () => {
    const id = await calls.start({ sync_execution: true, slug: "asana", tag: "blue", config_id: "c1" });
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
    await calls.check(getExecution, { execution_id: id }, expected);
    await calls.check(getExecution, { execution_id: id.toUpperCase(), linked_account_id: account }, expected);
  });

  test("says why it failed, and at which node", async () => {
    const error = { reason: "TERMINATED", message: "This workflow always fails.", node_id: "3", node_name: "Give up" };
    const id = await calls.start({ workflow: "always-fails", sync_execution: true });
    const { message } = await calls.ask(getExecution, { execution_id: id });
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

  test("shows, while it runs, the node runs that are recorded so far, and until when it waits on which", async () => {
    const id = await calls.start({ workflow: "slow-task" });
    await calls.until(getExecution, { execution_id: id }, {});
    const { message, headers } = await calls.ask(getExecution, { execution_id: id });
    expect(message).toMatchObject({
      state: expect.stringMatching(/^(RUNNING|WAITING)$/),
      status: "RUNNING",
      type: "ASYNC",
    });
    expect(message).not.toHaveProperty("end_time");
    expect([headers.get("x-execution-id"), headers.get("x-execution-status")]).toEqual([id, "RUNNING"]);
    await calls.until(getNodeRun, { execution_id: id, node_id: "1" }, { state: "SUCCESS" });
    const { end_time, ...waiting } = run("2", "Wait", { state: "WAITING", wait_end_time: aTime });
    expect(end_time).toBe(aTime);
    expect(Object((await calls.ask(getExecution, { execution_id: id })).message).node_runs).toEqual([
      run("1", "Start"),
      waiting,
    ]);
  });

  test("shows the nodes inside of a Group one by one and not among its own", async () => {
    const id = await calls.start({ workflow: "batch-notes", payload: { items: ["a", "b"] } });
    await calls.until(getExecution, { execution_id: id }, { state: "COMPLETED" });
    const { message } = await calls.ask(getExecution, { execution_id: id });
    expect(message).toMatchObject({ node_runs: [{ node_id: "1" }, { node_id: "2" }, { node_id: "4" }] });
    await calls.check(
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
      const at = executionCalls(small.url);
      const large = { text: "x".repeat(60_000) };
      const id = await at.start({ workflow, payload: large, sync_execution: true });
      const refusal = {
        status: 413,
        code: "ResourceExhausted",
        reason: "REPLY_TOO_LARGE",
        text: /GetExecutionResponse/,
      };
      await at.checkRefused(getExecution, { execution_id: id }, refusal);
      expect((await at.ask(getNodeRun, { execution_id: id, node_id: "2" })).message).toMatchObject({ output: large });
    } finally {
      await small.stop();
    }
  });
});

describe("a node run", () => {
  test("is answered with its output", async () => {
    const id = await calls.start({ sync_execution: true });
    const expected = run("2", "Write the note", { output: note });
    await calls.check(getNodeRun, { execution_id: id, node_id: "2" }, expected);
    await calls.check(getNodeRun, { execution_id: id, node_id: "1" }, run("1", "Start"));
  });

  test("is not found where there is no record of it", async () => {
    const id = await calls.start({ workflow: "slow-task" });
    await calls.checkRefused(getNodeRun, { execution_id: id, node_id: "3" }, notFound);
    await calls.checkRefused(getNodeRun, { execution_id: id, node_id: "nobody" }, notFound);
    await calls.until(getNodeRun, { execution_id: id, node_id: "1" }, { state: "SUCCESS" });
    await calls.checkRefused(getNodeRun, { execution_id: id, node_id: "2#wait" }, notFound);
  });
});

/** Every call that names one execution. */
const methods: readonly (readonly [string, DescMethodUnary, JsonObject])[] = [
  ["GetExecution", getExecution, {}],
  ["GetNodeRun", getNodeRun, { node_id: "2" }],
  ["ListIterations", listIterations, { node_id: "2" }],
  ["StopExecution", stopExecution, {}],
];

describe.each(methods)("a call about one execution keeps its bounds: %s", (_, method, fields) => {
  test("one of another account or environment, and one that does not exist, is not found", async () => {
    const execution_id = await calls.start({ sync_execution: true });
    const refusal = { ...notFound, text: /^Execution not found\.$/ };
    await calls.checkRefused(method, { ...fields, execution_id, linked_account_id: other }, refusal);
    await calls.checkRefused(method, { ...fields, execution_id }, refusal, { key: productionKey });
    await calls.checkRefused(method, { ...fields, execution_id: unknownId }, refusal);
    await calls.checkRefused(method, { ...fields, execution_id: "nonsense" }, refusal);
    await calls.checkRefused(
      method,
      { ...fields, execution_id: "x".repeat(129) },
      { ...invalid, text: /execution_id/ },
    );
  });

  test("a key is asked for", async () => {
    const refusal = { status: 401, code: "Unauthenticated", reason: "INVALID_API_KEY" };
    await calls.checkRefused(method, { ...fields, execution_id: unknownId }, refusal, { key: "tk-nobody" });
  });
});
