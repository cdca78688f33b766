import type { NewExecution } from "../../domain/execution.ts";
import { newId } from "../../domain/id.ts";
import { checkJson } from "../../domain/json/json-check.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import type { ConfigStore } from "../../storage/tenants/config-store.ts";
import type { ResolvedCall } from "../../storage/workflows/resolve-call.ts";
import { startFields } from "../run/field-values.ts";
import type { ExecuteCall, ExecutionRequest } from "./execute-call.ts";
import { fingerprintOf } from "./idempotent-replay.ts";

/** Makes the request for the execution that a call asks for. */
export async function requestOf(
  call: ExecuteCall,
  { workflowId, version, slug, linkedAccount }: ResolvedCall,
  graph: Graph,
  { configs, limits }: { readonly configs: ConfigStore; readonly limits: Limits },
): Promise<ExecutionRequest> {
  const { organizationId, environmentId, tag, type, payload, event, idempotencyKey: key } = call;
  const linkedAccountId = linkedAccount.id;
  const start = { environmentId, workflowId, version, linkedAccountId, configId: call.configId ?? linkedAccountId };
  const execution: NewExecution = {
    ...start,
    organizationId,
    id: newId(),
    ...(await startFields(configs, graph, { ...start, slug })),
    ...(tag !== undefined && { tag }),
    type,
    source: "API_CALL",
    payload,
    headers: checkJson(event.headers, { name: "headers", limits: limits.payload }),
  };
  const idempotencyKey = key && { key, fingerprint: fingerprintOf({ ...execution, payload: event.body }) };
  return { execution, graph, linkedAccount, event, ...(idempotencyKey && { idempotencyKey }) };
}
