import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { type Flowcall, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";
import { account, type ExecutionCalls, executionCalls } from "./execution-calls.ts";

// The first script starts a process, which takes seconds on a machine that is busy with much else.
vi.setConfig({ testTimeout: 120_000 });

const { executeWorkflow, getExecution, getNodeRun } = ExecutionService.method;
const { validateDefinition } = WorkflowService.method;

const graphOf = (code: string) => ({
  nodes: [
    { id: "1", start: { api_call: {} } },
    { id: "2", name: "Script", code: { parameters: [{ key: "body", value: "{{event.body}}" }], code } },
    { id: "3", response: { data: "{{node.Script.body}}" } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3" },
  ],
});

const code = `function yourFunction({ body }) {
  console.log("got", body);
  return body.list.length;
}`;

let flowcall: Flowcall;
let calls: ExecutionCalls;

beforeAll(async () => {
  flowcall = await startFlowcall();
  calls = executionCalls(flowcall.url);
  await putWorkflow(flowcall.url, { alias: "script", definition: graphOf(code) });
});

afterAll(async () => {
  await flowcall?.stop();
});

test("a caller gets what a script gives, and why one failed, with its line and its console, on every protocol", async () => {
  for (const { name, call } of calls.protocols) {
    const execute = (payload: object) => {
      const fields = { workflow: "script", linked_account_id: account, sync_execution: true, payload: { ...payload } };
      return call({ method: executeWorkflow, key: testKey, fields });
    };
    expect([name, (await execute({ list: [1, 2] })).message]).toMatchObject([name, { return_value: 2 }]);
  }
  const execution_id = await calls.start({ workflow: "script", sync_execution: true, payload: { list: null } });
  for (const { name, call } of calls.protocols) {
    const read = async (method: typeof getExecution | typeof getNodeRun, more = {}) =>
      (await call({ method, key: testKey, fields: { execution_id, ...more } })).message;
    const error = {
      reason: "CODE_ERROR",
      node_id: "2",
      message: expect.stringMatching(/null.*\(line 3, column \d+\)$/),
    };
    expect([name, await read(getExecution)]).toMatchObject([name, { status: "ERRORED", error }]);
    const console = [{ level: "INFO", text: 'got {"list":null}' }];
    expect([name, await read(getNodeRun, { node_id: "2" })]).toMatchObject([name, { console }]);
  }
});

test("what keeps a script from running is told with its node and field", async () => {
  for (const { name, call } of calls.protocols) {
    const reasons = [];
    for (const text of ["function yourFunction( {", "const f = 1", "require('axios'); function yourFunction() {}"]) {
      const fields = { definition: graphOf(text) };
      const { message } = await call({ method: validateDefinition, key: testKey, fields });
      reasons.push(Object(message).errors);
    }
    const problem = (reason: string) => [expect.objectContaining({ reason, node_id: "2", field: "code.code" })];
    expect([name, reasons]).toEqual([
      name,
      [problem("CODE_SYNTAX"), problem("CODE_FUNCTION_MISSING"), problem("CODE_MODULE_UNKNOWN")],
    ]);
  }
});
