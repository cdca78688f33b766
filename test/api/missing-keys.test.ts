import { randomBytes } from "node:crypto";
import type { JsonObject } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { eventually } from "../support/eventually.ts";
import { putWorkflow, startBeside, startFlowcall } from "../support/flowcall.ts";
import { executionCalls } from "./execution-calls.ts";

const { getExecution } = ExecutionService.method;

/** Start → a hidden node → a long Delay → Response of what the hidden node gave. */
const definition: JsonObject = {
  nodes: [
    { id: "1", start: { api_call: {} } },
    { id: "2", settings: { hide_node_request: true }, transform: { query: '{"token": "s3cret"}' } },
    { id: "3", delay: { seconds: "3600" } },
    { id: "4", response: { data: '"{{node.2.body.token}}"' } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3" },
    { source: "3", target: "4" },
  ],
};

const keyIn = () => randomBytes(32).toString("base64");

test("an execution whose key is missing stops a start, waits without a loss, and goes on with its key", async () => {
  const key = keyIn();
  const first = await startFlowcall({ FLOWCALL_ENCRYPTION_KEYS: key });
  const wake = async () => {
    // The Delay is over.
    const path = '"path":"3#wait"';
    await first.database.query("alter table journal disable trigger journal_is_final");
    await first.database.query(
      `update journal set entries = regexp_replace(entries, '"end_time":[0-9]+', '"end_time":1', 'g') where entries like '%${path}%'`,
    );
    await first.database.query("update execution_claim set due_time = now()");
  };
  const claimOf = async () => {
    const { rows } = await first.database.query(
      "select owner, losses, epoch, due_time > now() + interval '1 minute' as is_deferred from execution_claim",
    );
    return rows[0];
  };
  try {
    await putWorkflow(first.url, { alias: "sleeps", definition });
    const execution_id = await executionCalls(first.url).start({ workflow: "sleeps" });
    await eventually(async () => expect(await claimOf()).toMatchObject({ owner: null }));
    await first.app.stop();
    await wake();
    const { rows } = await first.database.query("select sealed_by from execution_claim");
    const name = String(rows[0]?.["sealed_by"]);
    const other = { FLOWCALL_ENCRYPTION_KEYS: keyIn() };
    await expect(startBeside(first, other)).rejects.toThrow(
      new RegExp(`executions that have not ended are encrypted by the key ${name}, which is not there`),
    );

    const without = await startBeside(first, { ...other, FLOWCALL_MISSING_KEYS: "accept" });
    await eventually(async () => expect(await claimOf()).toMatchObject({ owner: null, losses: 0, is_deferred: true }));
    expect((await claimOf())?.["epoch"]).toBeGreaterThan(1);
    await without.stop();

    await wake();
    const again = await startBeside(first, { FLOWCALL_ENCRYPTION_KEYS: `${keyIn()},${key}` });
    const calls = executionCalls(again.url);
    await eventually(async () => {
      await calls.check(getExecution, { execution_id }, expect.objectContaining({ state: "COMPLETED" }));
    });
    await again.stop();
  } finally {
    await first.stop();
  }
});
