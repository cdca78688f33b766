import { create, isMessage, type JsonObject, type Message, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { ReplyTable, RestReply } from "./gateway/reply-table.ts";
import {
  ExecuteWorkflowResponseSchema,
  ExecutionErrorSchema,
  ExecutionResult_Status as Status,
} from "./gen/flowcall/v1/execution_pb.ts";

/**
 * How replies become REST where it is not 200 and the whole message: the one table of it.
 *
 * A failed execution is a successful answer about a failed execution to gRPC; a REST client looks at the status first.
 */
export const restReplies: ReplyTable = new Map([[ExecuteWorkflowResponseSchema.typeName, executeReply]]);

/** The same table for the description of the API, by the method's name. */
export const documentedReplies: Readonly<Record<string, JsonObject>> = {
  ExecuteWorkflow: {
    "202": {
      description: "The time to wait is spent, and the execution goes on. Ask for its response at `Location`.",
      headers: {
        Location: { description: "Where the response will be.", schema: { type: "string" } },
        "Retry-After": { description: "In how many seconds to ask.", schema: { type: "integer" } },
      },
      content: { "application/json": { schema: { $ref: "#/components/schemas/ExecuteWorkflowResponse" } } },
    },
    "2XX": {
      description: "The status that the Response node sets; it may set one of 4XX and 5XX too.",
      content: { "application/json": { schema: { $ref: "#/components/schemas/ExecuteWorkflowResponse" } } },
    },
  },
};

/** When a client that waited in vain should ask for the response, in seconds. */
const retryAfter = "1";

function executeReply(message: Message): RestReply {
  if (!isMessage(message, ExecuteWorkflowResponseSchema))
    throw new Error(`no reply of ExecuteWorkflow: ${message.$typeName}`);
  const { status, statusCode, error, executionId, returnValue } = message;
  if (status === Status.ERRORED) {
    return {
      status: 500,
      body: {
        kind: "error",
        error: {
          error_code: "WORKFLOW_ERRORED",
          message: error?.message ?? "The workflow failed.",
          members: {
            execution_id: executionId,
            ...(error !== undefined && { error: toJson(ExecutionErrorSchema, error) }),
            ...(returnValue !== undefined && { return_value: toJson(ValueSchema, returnValue) }),
          },
        },
      },
    };
  }
  if (status === Status.RUNNING) {
    const location = `/api/v1/execution/${executionId}/response`;
    return { status: 202, headers: { location, "retry-after": retryAfter }, body: { kind: "message", message } };
  }
  if (statusCode === undefined) return { status: 200, body: { kind: "message", message } };
  // The Response node's status is the reply's own, and so not said again in its body.
  const body = create(ExecuteWorkflowResponseSchema, { executionId, ...(returnValue && { returnValue }) });
  return { status: statusCode, body: { kind: "message", message: body } };
}
