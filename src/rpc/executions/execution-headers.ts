import { type ExecutionState, statusOf } from "../../domain/execution.ts";
import type { Call } from "../../domain/http/call.ts";

/** Each reply about an execution names its id and status in headers too, since the body may be the workflow's own response. */
export function setExecutionHeaders(call: Call, executionId: string, state: ExecutionState): void {
  call.replyHeaders.set("x-execution-id", executionId);
  call.replyHeaders.set("x-execution-status", statusOf(state));
}
