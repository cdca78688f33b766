import { pino } from "pino";
import { expect, test } from "vitest";
import { putWorkflow, testKey } from "../support/flowcall.ts";
import { useFlowcall } from "./use-flowcall.ts";

const lines: string[] = [];
const environment = { FLOWCALL_LOG_EXECUTIONS: "none" };
const flowcall = await useFlowcall(
  environment,
  pino({ level: "warn" }, { write: (line: string) => void lines.push(line) }),
);

test("a workflow that fails is its author's to look at, and no warning of the service", async () => {
  const definition = {
    nodes: [
      { id: "1", start: { api_call: {} } },
      { id: "2", transform: { query: '$error("no")' } },
    ],
    edges: [{ source: "1", target: "2" }],
  };
  await putWorkflow(flowcall.url, { alias: "fails", definition });
  const headers = { "x-api-key": testKey, linked_account_id: "john@acme.io", sync_execution: "true" };
  const reply = await fetch(`${flowcall.url}/api/v1/workflow/fails/execute`, { method: "POST", headers });
  expect([reply.status, reply.headers.get("x-execution-status")]).toEqual([500, "ERRORED"]);
  await flowcall.app.stop();
  expect(lines).toEqual([]);
});
