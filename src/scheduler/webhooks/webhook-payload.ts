import type { TerminalState } from "../../domain/execution.ts";
import { statusOf } from "../../domain/execution.ts";
import { parseJson } from "../../domain/json/json-parse.ts";
import type { DueDelivery, EndedRow } from "../../storage/webhooks/delivery-store.ts";

const events: Readonly<Record<TerminalState, string>> = {
  COMPLETED: "Workflow Completed",
  ERRORED: "Workflow Errored",
  STOPPED: "Workflow Stopped",
  TIMED_OUT: "Workflow Timed Out",
};

/** The body of a delivery's requests: the same in each of them. */
export function webhookPayload(delivery: DueDelivery, ended: EndedRow): string {
  const { id, event: type, executionId, environment, settings } = delivery;
  const { state, response, error, bytes } = ended;
  if (state === null) {
    throw new Error("a delivery is of an execution that has not ended");
  }
  return JSON.stringify({
    id,
    type,
    event: events[state],
    execution_id: executionId,
    instance_id: executionId,
    linked_account_id: ended.linked_account_id,
    workflow_id: ended.workflow_id,
    workflow_name: ended.workflow_name,
    config_id: ended.config_id,
    slug: ended.slug,
    environment,
    ...(ended.tag !== null && { tag: ended.tag }),
    source: ended.source,
    status: statusOf(state),
    state,
    ...(error !== null && { error: parseJson(error as Parameters<typeof parseJson>[0]) }),
    create_time: new Date(ended.create_time).toISOString(),
    ...(ended.end_time !== null && { end_time: new Date(ended.end_time).toISOString() }),
    ...(settings.includesResponse && response !== null && { response: parseJson(response) }),
    ...(settings.includesResponse &&
      response === null &&
      bytes > 0 && { response_path: `/api/v1/execution/${executionId}/response` }),
  });
}
