import { createHash } from "node:crypto";
import type { JsonValue } from "@bufbuild/protobuf";
import { isAccessible } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { WorkflowRecord } from "../../domain/workflow.ts";
import type { BoundExecution } from "../../storage/executions/idempotency-keys.ts";
import type { ExecutionReader } from "../../storage/history/execution-reader.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import type { ExecutionRecords } from "../run/execution-log.ts";
import { keyReused } from "./call-errors.ts";
import type { ExecuteCall, ExecutionRequest } from "./execute-call.ts";

export type ReplayOptions = {
  readonly executions: Pick<ExecutionRecords, "findBound">;
  readonly workflows: WorkflowStore;
  readonly reader: ExecutionReader;
};

/**
 * Idempotent replay of a call that failed: finds the execution that an equal call with the same idempotency key started.
 * A replay is answered as the first call was, even if the workflow was unpublished since. Calls that do not fail are not
 * asked, and pay nothing for it.
 */
export async function findReplayed(
  call: ExecuteCall,
  error: unknown,
  { executions, workflows }: ReplayOptions,
): Promise<string | undefined> {
  const { idempotencyKey: key, linkedAccountId, configId = linkedAccountId, event } = call;
  if (!(error instanceof RequestError) || key === undefined || !isAccessible(call, { linkedAccountId })) {
    return undefined;
  }
  if (error.reason === "INVALID_LINKED_ACCOUNT_ID") {
    return undefined;
  }
  const bound = await executions.findBound(call, key);
  const workflow = bound && (await findWorkflow(call, workflows));
  if (bound === undefined || workflow === undefined) {
    return undefined;
  }
  const fingerprint = fingerprintOf({ workflowId: workflow.id, configId, payload: event.body });
  return bound.fingerprint === fingerprint ? bound.executionId : undefined;
}

/** Finds the execution that the key of a request stands for. Throws the error where there is none yet. */
export async function findBoundOrThrow(
  { execution, idempotencyKey }: ExecutionRequest,
  error: RequestError,
  executions: ReplayOptions["executions"],
): Promise<BoundExecution> {
  const bound = idempotencyKey && (await executions.findBound(execution, idempotencyKey.key));
  if (bound === undefined) {
    throw error;
  }
  return bound;
}

/** The error of a key that stands for the execution of another call. It names that execution where the caller may read it. */
export async function keyReuseError(
  { executionId }: BoundExecution,
  call: ExecuteCall,
  { reader }: ReplayOptions,
): Promise<RequestError> {
  // The account is that of the call; only the workflow may be outside of the key's scope.
  const isKnown = call.workflowIds === undefined || (await reader.find({ ...call, executionId })) !== undefined;
  return keyReused(isKnown ? executionId : undefined);
}

/** Finds a deleted workflow by its id; its alias may belong to another one by now. */
async function findWorkflow(call: ExecuteCall, workflows: WorkflowStore): Promise<WorkflowRecord | undefined> {
  try {
    return await workflows.findEver(call, call.reference);
  } catch (error) {
    if (error instanceof RequestError) {
      return undefined;
    }
    throw error;
  }
}

/** A SHA-256 in hex of what two calls with one idempotency key must agree in. The order of members does not matter. */
export function fingerprintOf(call: {
  readonly workflowId: string;
  readonly configId: string;
  readonly payload: JsonValue;
}): string {
  const text = JSON.stringify([call.workflowId, call.configId, canonical(call.payload)]);
  return createHash("sha256").update(text).digest("hex");
}

/** Sorts members. Objects become arrays of pairs; both kinds are tagged, so that no object looks like an array. */
function canonical(value: JsonValue): JsonValue {
  if (typeof value !== "object" || value === null) {
    return value;
  }
  if (Array.isArray(value)) {
    return ["array", ...value.map(canonical)];
  }
  const members = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return ["object", ...members.map(([name, member]): JsonValue => [name, canonical(member)])];
}
