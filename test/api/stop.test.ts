import { describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { serve } from "../engine/http/outside.ts";
import { eventually, until } from "../support/eventually.ts";
import { type Flowcall, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";
import { hourInSlot } from "../support/hour-long.ts";
import { account, aTime, executionCalls, payload } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { executeWorkflow, getExecution, getExecutionResponse, getNodeRun, stopExecution } = ExecutionService.method;

const error = { reason: "EXECUTION_STOPPED", message: "The execution was stopped." };
const stopped = { state: "STOPPED", status: "ERRORED", error, end_time: aTime };

/** Everything that is recorded of an execution. */
async function recorded({ database }: Flowcall, id: string): Promise<unknown[]> {
  const { rows } = await database.query(
    `select entry ->> 'path' as path from journal, json_array_elements(entries::json) as entry
      where execution_id = '${id}' order by flush_index, path`,
  );
  return rows.map(({ path }) => path);
}

const flowcall = await useFlowcall();
const calls = executionCalls(flowcall.url);

describe("a stop", () => {
  test("ends a run at once and for good, on every protocol", async () => {
    for (const { name, call } of calls.protocols) {
      const execution_id = await calls.start({ workflow: "slow-task" });
      const { message, headers } = await call({ method: stopExecution, key: testKey, fields: { execution_id } });
      expect([name, message]).toEqual([name, expect.objectContaining({ id: execution_id, ...stopped })]);
      expect([name, headers.get("x-execution-status")]).toEqual([name, "ERRORED"]);
    }
  });

  test("is refused for an execution that has ended, stopped ones included", async () => {
    const refusal = { status: 400, code: "FailedPrecondition", reason: "EXECUTION_ENDED" };
    const ended = await calls.start({ sync_execution: true });
    await calls.checkRefused(stopExecution, { execution_id: ended }, refusal);
    const execution_id = await calls.start({ workflow: "slow-task" });
    await calls.ask(stopExecution, { execution_id });
    await calls.checkRefused(stopExecution, { execution_id }, refusal);
    expect((await calls.ask(getExecution, { execution_id: ended })).message).toMatchObject({ state: "COMPLETED" });
  });

  test("aborts the node in flight at once, and neither the stopped run nor a queued one runs a further node", async () => {
    const single = await startFlowcall({ FLOWCALL_SLOTS: "1" });
    try {
      const at = executionCalls(single.url);
      await putWorkflow(single.url, { alias: "seconds", definition: hourInSlot });
      const running = await at.start({ workflow: "seconds" });
      await at.until(getNodeRun, { execution_id: running, node_id: "1" }, { state: "SUCCESS" });
      const queued = await at.start({ workflow: "seconds" });
      const last = await at.start({ workflow: "create-task" });
      expect((await at.ask(getExecution, { execution_id: queued })).message).toMatchObject({ state: "QUEUED" });
      for (const id of [queued, running]) {
        expect((await at.ask(stopExecution, { execution_id: id })).message).toMatchObject(stopped);
      }
      const before = await recorded(single, running);
      // It gets the one slot only when the run that waits for an hour has given it up.
      await at.until(getExecution, { execution_id: last }, { state: "COMPLETED" });
      expect(await recorded(single, running)).toEqual(before);
      expect(await recorded(single, queued)).toEqual([]);
      for (const id of [running, queued]) {
        const asked = { execution_id: id, linked_account_id: account };
        const result = await at.ask(getExecutionResponse, asked);
        expect(result.message).toEqual({ response: null, status: "ERRORED", error });
      }
    } finally {
      await single.stop();
    }
  });

  test("that came to another process reaches the owner at its next write, which records nothing", async () => {
    const owner = await startFlowcall({ FLOWCALL_SLOTS: "1" });
    try {
      const at = executionCalls(owner.url);
      await putWorkflow(owner.url, { alias: "seconds", definition: hourInSlot });
      const execution_id = await at.start({ workflow: "seconds" });
      await at.until(getNodeRun, { execution_id, node_id: "1" }, { state: "SUCCESS" });
      const another = await startFlowcall({ FLOWCALL_DATABASE_URL: owner.database.url });
      try {
        const { message } = await executionCalls(another.url).ask(stopExecution, { execution_id });
        expect(message).toMatchObject(stopped);
      } finally {
        await another.stop();
      }
      const before = await recorded(owner, execution_id);
      // The owner alone is left to run this, in the slot that the stopped run gave up.
      const last = await at.start({ workflow: "create-task" });
      await at.until(getExecution, { execution_id: last }, { state: "COMPLETED" });
      expect(await recorded(owner, execution_id)).toEqual(before);
      expect((await at.ask(getExecution, { execution_id })).message).toMatchObject(stopped);
    } finally {
      await owner.stop();
    }
  });

  test("is told at once to a synchronous call that waits", async () => {
    const single = await startFlowcall({ FLOWCALL_SLOTS: "1" });
    try {
      const at = executionCalls(single.url);
      await putWorkflow(single.url, { alias: "seconds", definition: hourInSlot });
      const running = await at.start({ workflow: "seconds" });
      const asked = { workflow: "create-task", linked_account_id: account, payload, sync_execution: true };
      const waiting = at.ask(executeWorkflow, asked);
      const id = await eventually(async () => {
        const { rows } = await single.database.query("select id from execution where type = 'SYNC'");
        expect(rows).toHaveLength(1);
        return rows[0]?.["id"];
      });
      await at.ask(stopExecution, { execution_id: String(id) });
      expect(await waiting).toMatchObject({
        status: 500,
        reason: "WORKFLOW_ERRORED",
        message: { execution_id: id, error },
      });
      await at.ask(stopExecution, { execution_id: running });
    } finally {
      await single.stop();
    }
  });

  test("leaves unknown what came of a request that may be sent only once and was not answered", async () => {
    const upstream = await serve(() => undefined);
    const single = await startFlowcall({ FLOWCALL_EGRESS_ALLOW: "127.0.0.0/8" });
    try {
      const at = executionCalls(single.url);
      const nodes = [
        { id: "1", start: { api_call: {} } },
        { id: "2", settings: { delivery: "AT_MOST_ONCE" }, http: { method: "POST", url: "{{event.body.url}}" } },
      ];
      await putWorkflow(single.url, { alias: "once", definition: { nodes, edges: [{ source: "1", target: "2" }] } });
      const url = `http://127.0.0.1:${upstream.port}/`;
      const execution_id = await at.start({ workflow: "once", payload: { url } });
      await until("the request is sent", () => upstream.requests.length > 0);
      expect((await at.ask(getNodeRun, { execution_id, node_id: "2" })).reason).toBe("RESOURCE_NOT_FOUND");
      await at.ask(stopExecution, { execution_id });
      const unknown = { node_id: "2", state: "ERRORED", error: { reason: "OUTCOME_UNKNOWN" } };
      expect((await at.ask(getNodeRun, { execution_id, node_id: "2" })).message).toMatchObject(unknown);
      const { message } = await at.ask(getExecution, { execution_id });
      expect(message).toMatchObject({ state: "STOPPED", node_runs: [{ node_id: "1" }, unknown] });
    } finally {
      await single.stop();
    }
  });
});
