import { RequestError } from "../../domain/request-error.ts";
import type { Graph } from "../../engine/graph/graph.ts";

export function executionNotFound(executionId: string): RequestError {
  return new RequestError("RESOURCE_NOT_FOUND", "Execution not found.", { metadata: { execution_id: executionId } });
}

export function keysMissing(): RequestError {
  return new RequestError(
    "ENCRYPTION_KEYS_MISSING",
    "A node of the workflow hides its output, which has to be stored encrypted while the workflow runs, and the service has " +
      "no encryption key. Set FLOWCALL_ENCRYPTION_KEYS.",
  );
}

/** @param executionId undefined where the caller may not know of that execution */
export function keyReused(executionId: string | undefined): RequestError {
  const which = executionId === undefined ? "an execution" : `the execution ${executionId}`;
  return new RequestError(
    "IDEMPOTENCY_KEY_REUSED",
    `The idempotency key stands for ${which}, which was started for another workflow, config_id or payload. Use a new key for a new call.`,
    executionId === undefined ? {} : { metadata: { execution_id: executionId } },
  );
}

export function shuttingDown(): RequestError {
  return RequestError.of("SHUTTING_DOWN", { retryAfterSeconds: 1 });
}

export function syncNotAllowed({ id, name }: NonNullable<Graph["group"]>): RequestError {
  const which = name === "" ? JSON.stringify(id) : JSON.stringify(name);
  return new RequestError(
    "SYNC_NOT_ALLOWED_WITH_GROUP",
    `sync_execution is not allowed, since the workflow contains a Group node, ${which}. Call it without sync_execution, ` +
      "and with Prefer: wait=50 (or the field wait) to get the response in the answer all the same, or ask for the " +
      "response by its execution id.",
    { metadata: { node_id: id, node_name: name } },
  );
}
