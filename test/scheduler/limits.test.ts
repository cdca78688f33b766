import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "../../src/gen/google/rpc/error_details_pb.ts";
import { executionCalls } from "../api/execution-calls.ts";
import { protocolsOf } from "../api/protocols.ts";
import { eventually } from "../support/eventually.ts";
import { type Flowcall, productionKey, putWorkflow, startBeside, startFlowcall, testKey } from "../support/flowcall.ts";
import { hourInSlot } from "../support/hour-long.ts";

const { executeWorkflow, getExecution, stopExecution } = ExecutionService.method;

const john = "john@acme.io";
const jane = "jane@acme.io";

let first: Flowcall;
let second: Flowcall;

beforeAll(async () => {
  const environment = {
    FLOWCALL_ACCOUNT_RUNNING_MAX: "2",
    FLOWCALL_ENVIRONMENT_RUNNING_MAX: "3",
    FLOWCALL_ACCOUNT_QUEUE_MAX: "2",
    FLOWCALL_ENVIRONMENT_QUEUE_MAX: "3",
  };
  first = await startFlowcall(environment);
  second = await startBeside(first, environment);
  for (const key of [testKey, productionKey]) {
    await putWorkflow(first.url, { alias: "hour", definition: hourInSlot, key });
  }
});

afterAll(async () => {
  // A process that stops waits for what runs.
  for (const [execution_id, key] of started) {
    await stop(execution_id, key);
  }
  await second?.stop();
  await first?.stop();
});

/** The executions, with the key that started them. */
const started = new Map<string, string>();

async function stop(execution_id: string, key = testKey): Promise<void> {
  const [rest] = protocolsOf(first.url);
  await rest?.call({ method: stopExecution, fields: { execution_id }, key });
}

function fieldsOf(linked_account_id: string) {
  return { workflow: "hour", linked_account_id, payload: {} };
}

async function start(at: Flowcall, linked_account_id: string): Promise<string> {
  const id = await executionCalls(at.url).start(fieldsOf(linked_account_id));
  started.set(id, testKey);
  return id;
}

async function stateOf(execution_id: string): Promise<unknown> {
  const { message } = await executionCalls(first.url).ask(getExecution, { execution_id });
  return Object(message).state;
}

/** Waits until the second process has read, and taken over, how many executions of an account the first one runs. */
async function untilHeard(account: string, count: number): Promise<void> {
  await eventually(async () => {
    const told = `from lease where load like '%${account}",${count},%'`;
    expect((await first.database.query(`select ${told}`)).rows).toHaveLength(1);
  });
  await untilRenewed();
}

/** Waits until every process has worked on what it read after a time: it has then sent another heartbeat since. */
async function untilRenewed(seconds = 0): Promise<void> {
  for (const later of [seconds, 0]) {
    const [now] = (await first.database.query(`select (now() + interval '${later} seconds')::text as time`)).rows;
    await eventually(async () => {
      const { rows } = await first.database.query(`select from lease where renew_time <= '${now?.["time"]}'`);
      expect(rows).toHaveLength(0);
    });
  }
}

test("a key has so many requests a second, and is told the limit; another key is not held up", async () => {
  const limited = await startBeside(first, { FLOWCALL_KEY_REQUESTS_MAX: "20" });
  try {
    const client = createClient(ExecutionService, createGrpcTransport({ baseUrl: limited.url }));
    const ask = (key: string) =>
      client.listExecutions({}, { headers: { "x-api-key": key } }).then(
        () => undefined,
        (error: unknown) => ConnectError.from(error),
      );
    const refused = (await Promise.all(Array.from({ length: 60 }, () => ask(testKey)))).filter((error) => error);
    expect(refused.length).toBeGreaterThan(0);
    for (const error of refused) {
      expect(error?.code).toBe(Code.ResourceExhausted);
      expect(error?.findDetails(ErrorInfoSchema)).toMatchObject([
        { reason: "TOO_MANY_REQUESTS", metadata: { limit: "key_requests", value: "20" } },
      ]);
      expect(error?.findDetails(RetryInfoSchema)).toMatchObject([{ retryDelay: { seconds: 1n } }]);
      expect(error?.metadata.get("retry-after")).toBe("1");
    }
    expect(await ask(productionKey)).toBeUndefined();
  } finally {
    await limited.stop();
  }
});

test("an account and an environment run as many executions as they may over all processes, queue as many, and are refused more", async () => {
  const running = [await start(first, john), await start(first, john)];
  await untilHeard(john, 2);
  const elsewhere = await start(second, john);
  expect(await stateOf(elsewhere)).toBe("QUEUED");
  await stop(elsewhere);
  // Every process counts what is queued once a second.
  await untilRenewed(1.2);

  const queued = [await start(first, john), await start(first, john)];
  const refusal = { status: 429, code: "ResourceExhausted", reason: "QUEUE_FULL" };
  const calls = executionCalls(first.url);
  const byAccount = /^2 executions are queued already for this linked account \(limit account_queue\)/;
  await calls.checkRefused(executeWorkflow, fieldsOf(john), { ...refusal, text: byAccount });

  running.push(await start(first, jane));
  await untilHeard(jane, 1);
  queued.push(await start(first, jane));
  const byEnvironment = /^3 executions are queued already in this environment \(limit environment_queue\)/;
  await calls.checkRefused(executeWorkflow, fieldsOf(jane), { ...refusal, text: byEnvironment });
  for (const id of running) {
    expect(await stateOf(id)).toBe("RUNNING");
  }
  for (const id of queued) {
    expect(await stateOf(id)).toBe("QUEUED");
  }

  const [rest] = protocolsOf(first.url);
  const other = await rest?.call({ method: executeWorkflow, fields: fieldsOf(john), key: productionKey });
  expect(other?.message).toEqual({ execution_id: expect.any(String) });
  started.set(other?.headers.get("x-execution-id") ?? "", productionKey);

  // What has ended makes room for what waits: Jane's, since John's has had its turn, or the other way round.
  await stop(running[0] ?? "");
  await eventually(async () => {
    const states = await Promise.all(queued.map(stateOf));
    expect(states.toSorted()).toEqual(["QUEUED", "QUEUED", "RUNNING"]);
  });
});
