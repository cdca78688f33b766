import { randomBytes } from "node:crypto";
import type { JsonObject } from "@bufbuild/protobuf";
import { afterEach, describe, expect, test } from "vitest";
import type { NodeRun } from "../../src/domain/execution.ts";
import type { JsonText } from "../../src/domain/json/json-text.ts";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { Sealing } from "../../src/scheduler/encryption/sealing.ts";
import { openRun, redactRun, sealRun } from "../../src/scheduler/run/sealed-records.ts";
import { account, executionCalls } from "../api/execution-calls.ts";
import { eventually } from "../support/eventually.ts";
import { type Flowcall, putWorkflow, startFlowcall } from "../support/flowcall.ts";

const { getExecutionResponse, getNodeRun, retryNode } = ExecutionService.method;
const executionId = "0123456789abcdef01234567";
const secret = "correct horse battery staple";

const run: NodeRun = {
  path: "2",
  node_id: "2",
  state: "ERRORED_AND_SKIPPED",
  attempts: 1,
  start_time: 1,
  end_time: 2,
  // The text of JSON.
  output: `{"token":"${secret}"}` as JsonText,
  error: { reason: "HTTP_STATUS", message: secret },
  is_hidden: true,
};

describe("what a node hides", () => {
  const master = randomBytes(32);
  const sealing = new Sealing(() => [master]);

  test("is sealed, and opened as it was", () => {
    const key = sealing.createDataKey(executionId);
    const sealed = sealRun(run, key);
    expect(JSON.stringify(sealed)).not.toContain(secret);
    expect(openRun(sealed, sealing.openDataKey(executionId, key.wrapped))).toEqual(run);
    expect(JSON.stringify(redactRun(run))).not.toContain(secret);
    expect(redactRun(run)).not.toHaveProperty("sealed");
  });

  test("what other nodes give is kept as it is", () => {
    const { is_hidden, ...shown } = run;
    expect([sealRun(shown, sealing.createDataKey(executionId)), redactRun(shown)]).toEqual([shown, shown]);
  });

  test("is opened after the keys were rotated, and not without the key that wrapped it", () => {
    const { wrapped } = sealing.createDataKey(executionId);
    const rotated = new Sealing(() => [randomBytes(32), master]);
    expect(rotated.openDataKey(executionId, wrapped).key).toEqual(sealing.openDataKey(executionId, wrapped).key);
    expect(() => new Sealing(() => [randomBytes(32)]).openDataKey(executionId, wrapped)).toThrow(/no encryption key/);
  });

  test("cannot be moved to another execution or another node, nor changed", () => {
    const key = sealing.createDataKey(executionId);
    const { sealed = "", ...rest } = sealRun(run, key);
    expect(() => sealing.openDataKey("f".repeat(24), key.wrapped)).toThrow();
    expect(() => openRun({ ...rest, sealed, path: "3" }, key)).toThrow();
    const changed = Buffer.from(sealed, "base64");
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    expect(() => openRun({ ...rest, sealed: changed.toString("base64") }, key)).toThrow();
  });
});

describe("an execution of which a node hides what it gives", () => {
  let flowcall: Flowcall;

  afterEach(async () => flowcall?.stop());

  const definition: JsonObject = {
    nodes: [
      { id: "1", start: { api_call: {} } },
      { id: "2", settings: { hide_node_request: true }, transform: { query: `'${secret}' & $random()` } },
      { id: "3", delay: { seconds: "2" } },
      { id: "4", settings: { skip_on_error: true }, transform: { query: '$error("no")' } },
      { id: "5", response: { data: '{"length": "{{node.2.body}}"}' } },
    ],
    edges: [
      { source: "1", target: "2" },
      { source: "2", target: "3" },
      { source: "3", target: "4" },
      { source: "4", target: "5" },
    ],
  };

  async function dump(): Promise<string> {
    const { rows } = await flowcall.database.query("select entries from journal");
    const claims = await flowcall.database.query("select seal_key from execution_claim");
    return JSON.stringify([rows, claims.rows]);
  }

  test("goes on from what is sealed, and keeps nothing of it when it has ended", async () => {
    flowcall = await startFlowcall();
    await putWorkflow(flowcall.url, { alias: "hides", definition });
    const calls = executionCalls(flowcall.url);
    const execution_id = await calls.start({ workflow: "hides" });
    await eventually(async () => expect(await dump()).toContain('\\"sealed\\"'));
    expect(await dump()).not.toContain(secret);
    expect((await calls.ask(getNodeRun, { execution_id, node_id: "2" })).message).toMatchObject({
      output: "[REDACTED]",
    });
    const asked = { execution_id, linked_account_id: account, wait: 30 };
    const { message } = await calls.ask(getExecutionResponse, asked);
    const { length } = Object(message).response;
    expect(length).toMatch(new RegExp(`^${secret}0\\.\\d+$`));
    // It was run once: the value of the replay is that of the first run.
    const { rows } = await flowcall.database.query("select epoch, entries from journal order by flush_index");
    expect(rows.filter(({ entries }) => String(entries).includes('"path":"2",'))).toHaveLength(1);
    expect(rows.some(({ epoch }) => Number(epoch) > 1)).toBe(true);
    // The key went with the claim.
    expect((await flowcall.database.query("select count(*)::int as count from execution_claim")).rows).toEqual([
      { count: 0 },
    ]);
    const node = await calls.ask(getNodeRun, { execution_id, node_id: "2" });
    expect(node.message).toMatchObject({ state: "SUCCESS", output: "[REDACTED]" });

    // A retry has nothing to take over of it: it runs again.
    const retried = await calls.ask(retryNode, { execution_id, node_id: "4" });
    const id = Object(retried.message).execution_id;
    const again = await calls.ask(getExecutionResponse, { ...asked, execution_id: id });
    expect(again.message).toMatchObject({ status: "COMPLETED" });
    expect(Object(again.message).response.length).toMatch(new RegExp(`^${secret}0\\.\\d+$`));
  });

  test("is refused where there is no key to seal with, held and queued ones too", async () => {
    flowcall = await startFlowcall({ FLOWCALL_ENCRYPTION_KEYS: "" });
    await putWorkflow(flowcall.url, { alias: "hides", definition });
    const calls = executionCalls(flowcall.url);
    const { executeWorkflow } = ExecutionService.method;
    const refusal = { status: 400, code: "FailedPrecondition", reason: "ENCRYPTION_KEYS_MISSING" };
    for (const sync_execution of [true, false]) {
      const fields = { workflow: "hides", linked_account_id: account, payload: {}, sync_execution };
      await calls.checkRefused(executeWorkflow, fields, refusal);
    }
  });
});
