import { RequestError } from "../../domain/request-error.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import type { ProcessPool } from "../../engine/pool/process-pool.ts";
import type { ExecuteCall } from "./execute-call.ts";

type AdmittedCall = Pick<ExecuteCall, "type" | "event" | "payload" | "signal" | "organizationId" | "environmentId">;

/**
 * Checks a call against the workflow's graph before anything is created. Throws RequestError; a promise, where it
 * answers one, may reject with it.
 */
export function admitCall(graph: Graph, call: AdmittedCall, pool: Pick<ProcessPool, "run">): Promise<void> | undefined {
  if (!graph.hasApiCallTrigger) {
    throw RequestError.of("WORKFLOW_HAS_OTHER_TRIGGER");
  }
  if (call.type === "SYNC" && graph.group !== undefined) {
    throw syncNotAllowed(graph.group);
  }
  const { organizationId, environmentId, payload: text, event, signal } = call;
  const path = [organizationId, environmentId] as const;
  return graph.payloadValidator?.check({ payload: event.body, text, path, signal, pool });
}

function syncNotAllowed({ id, name }: NonNullable<Graph["group"]>): RequestError {
  const which = name === "" ? JSON.stringify(id) : JSON.stringify(name);
  return new RequestError(
    "SYNC_NOT_ALLOWED_WITH_GROUP",
    `sync_execution is not allowed, since the workflow contains a Group node, ${which}. Call it without sync_execution, ` +
      "and with Prefer: wait=50 (or the field wait) to get the response in the answer all the same, or ask for the " +
      "response by its execution id.",
    { metadata: { node_id: id, node_name: name } },
  );
}
