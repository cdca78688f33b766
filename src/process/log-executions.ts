import type { Logger } from "pino";
import type { EndedRun, SchedulerEvents } from "../scheduler/run/scheduler-events.ts";

/** Which ends of executions are logged: of those that failed, of all, or of none. */
export type LoggedEnds = "failed" | "all" | "none";

/**
 * Logs how executions end: why and where, and the ids to find them by. Payloads, outputs and the messages of errors are the
 * tenants', and not in the log.
 */
export function logExecutions(events: SchedulerEvents, which: LoggedEnds, log: Logger): void {
  if (which === "none") {
    return;
  }
  events.on("finished", (ended) => {
    const { state } = ended.outcome;
    if (state === "ERRORED" || state === "TIMED_OUT") {
      log.warn(lineOf(ended), "an execution failed");
    } else if (which === "all") {
      log.info(lineOf(ended), state === "COMPLETED" ? "an execution completed" : "an execution was stopped");
    }
  });
}

function lineOf({ execution, outcome, ms }: EndedRun): Readonly<Record<string, unknown>> {
  const { id, workflowId, version, type, source, organizationId, environmentId, linkedAccountId, tag } = execution;
  const { state, error, statusCode } = outcome;
  return {
    executionId: id,
    state,
    reason: state === "COMPLETED" ? undefined : error?.reason,
    nodeId: error?.node_id,
    nodeName: error?.node_name,
    statusCode,
    ms: Math.round(ms),
    workflowId,
    version,
    type,
    source,
    organizationId,
    environmentId,
    linkedAccountId,
    tag,
  };
}
