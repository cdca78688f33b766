import { RequestError } from "../../domain/request-error.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import type { ProcessPool } from "../../engine/pool/process-pool.ts";
import type { ExecuteCall } from "./execute-call.ts";

/** A call that is admitted by a graph, or refused. */
type AdmittedCall = Pick<ExecuteCall, "type" | "event" | "payload" | "signal" | "organizationId" | "environmentId">;

/** Refuses what a workflow's own graph forbids, before anything is created. What it gives is to be waited for. */
export function admit(graph: Graph, call: AdmittedCall, pool: Pick<ProcessPool, "run">): Promise<void> | undefined {
  if (!graph.hasApiCallTrigger) {
    throw new RequestError(
      "WORKFLOW_HAS_OTHER_TRIGGER",
      "The workflow is not started by API calls. Set the trigger of its Start node to `api_call` and publish it.",
    );
  }
  if (call.type === "SYNC" && graph.group !== undefined) throw syncRefused(graph.group);
  const { organizationId, environmentId, payload: text, event, signal } = call;
  const path = [organizationId, environmentId] as const;
  return graph.payloadValidator?.check({ payload: event.body, text, path, signal, pool });
}

function syncRefused({ id, name }: NonNullable<Graph["group"]>): RequestError {
  const which = name === "" ? JSON.stringify(id) : JSON.stringify(name);
  return new RequestError(
    "SYNC_NOT_ALLOWED_WITH_GROUP",
    `sync_execution is not allowed, since the workflow contains a Group node, ${which}. Call it without sync_execution, ` +
      "and with Prefer: wait=50 (or the field wait) to get the response in the answer all the same, or ask for the " +
      "response by its execution id.",
    { metadata: { node_id: id, node_name: name } },
  );
}

const queues = {
  queue: " in all",
  organization_queue: " of this organisation",
  environment_queue: " in this environment",
  account_queue: " for this linked account",
} as const;

export function queueFull(limit: keyof typeof queues, max: number): RequestError {
  const message = `${max} executions are queued already${queues[limit]} (limit ${limit}). Try again later.`;
  // The whole is full by no fault of the one who calls now.
  return new RequestError(limit === "queue" ? "SERVER_BUSY" : "QUEUE_FULL", message, {
    metadata: { limit, value: String(max) },
    retryAfterSeconds: 1,
  });
}

/** Comes with the time until the day ends. */
export function dayBytesUsed(max: number, retryAfterSeconds: number): RequestError {
  const limit = "environment_day_bytes";
  const message =
    `The payloads of executions in this environment may have ${max} bytes a day (limit ${limit}), and today's leave no room ` +
    "for this one. The next day begins at 00:00 UTC.";
  return new RequestError("DAY_BYTES_USED", message, { metadata: { limit, value: String(max) }, retryAfterSeconds });
}

export function executionNotFound(executionId: string): RequestError {
  return new RequestError("RESOURCE_NOT_FOUND", "Execution not found.", { metadata: { execution_id: executionId } });
}

export function keysMissing(): RequestError {
  return new RequestError(
    "ENCRYPTION_KEYS_MISSING",
    "A node of the workflow hides what it gives, which is kept encrypted while the workflow runs, and the service has no " +
      "key for that. Set FLOWCALL_ENCRYPTION_KEYS.",
  );
}

export function credentialKeysMissing(): RequestError {
  return new RequestError(
    "ENCRYPTION_KEYS_MISSING",
    "Credentials are kept encrypted, and the service has no key for that. Set FLOWCALL_ENCRYPTION_KEYS.",
  );
}

/** Without an id the execution is one that the caller may not know of. */
export function keyReused(executionId: string | undefined): RequestError {
  const which = executionId === undefined ? "an execution" : `the execution ${executionId}`;
  return new RequestError(
    "IDEMPOTENCY_KEY_REUSED",
    `The idempotency key stands for ${which}, which was started for another workflow, config_id or payload. Use a new key for a new call.`,
    executionId === undefined ? {} : { metadata: { execution_id: executionId } },
  );
}

export function shuttingDown(): RequestError {
  return new RequestError("SHUTTING_DOWN", "This process is stopping. Try again.", { retryAfterSeconds: 1 });
}
