import { type ExecutionState, statusOf } from "../../domain/execution.ts";
import type { Call } from "../../domain/http/call.ts";

/** Every reply about an execution says which and how it stands in headers too, since a body may be the workflow's own. */
export function tellExecution(call: Call, executionId: string, state: ExecutionState): void {
  call.replyHeaders.set("x-execution-id", executionId);
  call.replyHeaders.set("x-execution-status", statusOf(state));
}
