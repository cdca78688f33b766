import { setMaxListeners } from "node:events";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { putWorkflow, testKey } from "../support/flowcall.ts";

export type Call = {
  readonly workflow: string;
  readonly payload?: JsonObject;
  readonly account?: string;
  readonly apiKey?: string;
  readonly isSync?: boolean;
  readonly idempotencyKey?: string;
  /** How many seconds the call waits at the most. */
  readonly wait?: number;
  /** What the caller goes away by. */
  readonly signal?: AbortSignal;
};

export type Reply = {
  readonly status: number;
  readonly id: string;
  readonly retryAfter: string | null;
  readonly isReplayed: boolean;
  readonly json: { readonly [name: string]: JsonValue | undefined };
  readonly ms: number;
};

/** Calls a workflow by REST. */
export async function execute(url: string, call: Call): Promise<Reply> {
  const { workflow, payload = {}, isSync = false, idempotencyKey, wait, signal } = call;
  return await send(`${url}/api/v1/workflow/${workflow}/execute`, {
    method: "POST",
    headers: {
      ...callerOf(call),
      "content-type": "application/json",
      sync_execution: String(isSync),
      ...(idempotencyKey !== undefined && { "idempotency-key": idempotencyKey }),
      ...(wait !== undefined && { prefer: `wait=${wait}` }),
    },
    body: JSON.stringify(payload),
    ...(signal !== undefined && { signal }),
  });
}

/** Asks for the response of an execution. */
export async function askResponse(
  url: string,
  id: string,
  { wait = 0, ...caller }: Pick<Call, "account" | "apiKey" | "wait"> = {},
): Promise<Reply> {
  return await send(`${url}/api/v1/execution/${id}/response?wait=${wait}`, { headers: callerOf(caller) });
}

/** Asks for a list, by a statement that calls do not share. */
export async function listWorkflows(url: string): Promise<Reply> {
  return await send(`${url}/api/v1/workflow`, { headers: callerOf({}) });
}

function callerOf({ account = "john@acme.io", apiKey = testKey }: Pick<Call, "account" | "apiKey">) {
  return { "x-api-key": apiKey, linked_account_id: account };
}

async function send(url: string, init: RequestInit): Promise<Reply> {
  // One signal of many calls at once is meant.
  if (init.signal) {
    setMaxListeners(0, init.signal);
  }
  const startTime = performance.now();
  const reply = await fetch(url, init).catch((error: unknown) => {
    // What `fetch` itself says of it is always the same.
    const { cause } = Object(error);
    throw new Error(`no answer: ${Object(cause).code ?? cause ?? error}`, { cause: error });
  });
  const json = JSON.parse(await reply.text());
  return {
    status: reply.status,
    id: reply.headers.get("x-execution-id") ?? String(json.execution_id),
    retryAfter: reply.headers.get("retry-after"),
    isReplayed: reply.headers.get("idempotent-replayed") === "true",
    json,
    ms: performance.now() - startTime,
  };
}

/** What is awaited later, and may fail before: whoever awaits it is told, and nobody else. */
export function awaitedLater<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

export async function isReady(url: string): Promise<boolean> {
  return (await fetch(`${url}/readyz`)).status === 200;
}

/** The value that a share of all does not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** What takes a while without letting go of its slot. */
export async function putBusyTask(url: string): Promise<void> {
  const nodes = [
    { id: "1", start: { api_call: {} } },
    { id: "2", delay: { seconds: "0.5" } },
    { id: "3", transform: { query: "1 + 1" } },
  ];
  const edges = [
    { source: "1", target: "2" },
    { source: "2", target: "3" },
  ];
  await putWorkflow(url, { alias: "busy-task", definition: { nodes, edges } });
}
