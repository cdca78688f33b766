import { afterAll, beforeAll, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { type Flowcall, putWorkflow, startBeside, startFlowcall } from "../support/flowcall.ts";
import { account, type ExecutionCalls, executionCalls } from "./execution-calls.ts";

const { getExecution } = ExecutionService.method;

let first: Flowcall;
let second: Flowcall;
let atFirst: ExecutionCalls;
let atSecond: ExecutionCalls;

beforeAll(async () => {
  const environment = { FLOWCALL_QUERY_MS: "1500" };
  first = await startFlowcall(environment);
  second = await startBeside(first, environment);
  const query = "($f := function($n,$a){ $n = 0 ? $a : $f($n-1, {'a':$a,'b':$a}) }; $f(60,1) = $f(60,1))";
  const definition = {
    nodes: [
      { id: "1", start: { api_call: {} } },
      { id: "2", transform: { query } },
    ],
    edges: [{ source: "1", target: "2" }],
  };
  await putWorkflow(first.url, { alias: "endless", definition });
  [atFirst, atSecond] = [executionCalls(first.url), executionCalls(second.url)];
});

afterAll(async () => {
  await second?.stop();
  await first?.stop();
});

test("a query that never ends fails its node at its deadline, and neither process loses its lease", async () => {
  const leases = async () => {
    const { rows } = await first.database.query("select owner from lease order by owner");
    return rows;
  };
  const before = await leases();
  expect(before).toHaveLength(2);
  const execution_id = await atFirst.start({ workflow: "endless", linked_account_id: account });
  // Calls are answered meanwhile.
  await atFirst.until(getExecution, { execution_id: await atFirst.start() }, { state: "COMPLETED" });
  await atSecond.until(getExecution, { execution_id }, { state: "ERRORED" });
  const { message } = await atSecond.ask(getExecution, { execution_id });
  expect(message).toMatchObject({ error: { reason: "EXPRESSION_ERROR", node_id: "2" } });
  expect(await leases()).toEqual(before);
});
