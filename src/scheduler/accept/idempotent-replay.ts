import { isReached } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { WorkflowRecord } from "../../domain/workflow.ts";
import type { BoundExecution } from "../../storage/executions/begin-execution.ts";
import type { ExecutionStore } from "../../storage/executions/execution-store.ts";
import type { ExecutionReader } from "../../storage/history/execution-reader.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import { keyReused } from "./call-errors.ts";
import { fingerprintOf } from "./call-fingerprint.ts";
import type { ExecuteCall } from "./execute-call.ts";

export type RepetitionOptions = {
  readonly executions: ExecutionStore;
  readonly workflows: WorkflowStore;
  readonly reader: ExecutionReader;
};

/**
 * The execution that a refused call has started before, by its idempotency key: a repetition is answered as the first
 * call was, whatever has become of the workflow since. Asked of refused calls alone, so that no other pays for it.
 */
export async function findRepeated(
  call: ExecuteCall,
  refusal: unknown,
  { executions, workflows }: RepetitionOptions,
): Promise<string | undefined> {
  const { idempotencyKey: key, linkedAccountId, configId = linkedAccountId, event } = call;
  if (!(refusal instanceof RequestError) || key === undefined || !isReached(call, { linkedAccountId }))
    return undefined;
  if (refusal.reason === "INVALID_LINKED_ACCOUNT_ID") return undefined;
  const bound = await executions.findBound(call, key);
  const workflow = bound && (await findWorkflow(call, workflows));
  if (bound === undefined || workflow === undefined) return undefined;
  const fingerprint = fingerprintOf({ workflowId: workflow.id, configId, payload: event.body });
  return bound.fingerprint === fingerprint ? bound.executionId : undefined;
}

/** The refusal of a key that stands for the execution of another call, which is named where the caller may know of it. */
export async function reuseRefusal(
  { executionId }: BoundExecution,
  call: ExecuteCall,
  { reader }: RepetitionOptions,
): Promise<RequestError> {
  // The account is that of the call, and so it is the workflow alone that may be beyond its reach.
  const isKnown = call.workflowIds === undefined || (await reader.find({ ...call, executionId })) !== undefined;
  return keyReused(isKnown ? executionId : undefined);
}

/** A deleted workflow is found by its id; its alias may be another's by now. */
async function findWorkflow(call: ExecuteCall, workflows: WorkflowStore): Promise<WorkflowRecord | undefined> {
  try {
    return await workflows.findEver(call, call.reference);
  } catch (error) {
    if (error instanceof RequestError) return undefined;
    throw error;
  }
}
