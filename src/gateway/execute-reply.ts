import { create, isMessage, type JsonObject, type Message, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  ExecuteWorkflowResponseSchema,
  ExecutionErrorSchema,
  ExecutionResult_Status as Status,
} from "../gen/flowcall/v1/execution_pb.ts";
import type { ReplyTable, RestReply } from "./reply-table.ts";

/**
 * The rules for the reply of ExecuteWorkflow, the only one that is not plain over REST. A failed execution is OK over gRPC,
 * with a status in the message; a REST client reads the HTTP status first, so it gets 500 there.
 */
export const restReplies: ReplyTable = new Map([[ExecuteWorkflowResponseSchema.typeName, executeReply]]);

const ofResponseNode: JsonObject = {
  description:
    "The workflow completed, and its Response node sets this status. It may be one of those that refusals have too: the " +
    "header `x-execution-status` is `COMPLETED` then, and there is no `error_code`.",
  content: { "application/json": { schema: { $ref: "#/components/schemas/ExecuteWorkflowResponse" } } },
};

/** The same rules for the OpenAPI document, by method name. */
export const documentedReplies: Readonly<Record<string, JsonObject>> = {
  ExecuteWorkflow: {
    "202": {
      description: "The wait is over and the execution goes on. Ask for its response at `Location`.",
      headers: {
        Location: { description: "Where the response will be.", schema: { type: "string" } },
        "Retry-After": { description: "In how many seconds to ask.", schema: { type: "integer" } },
      },
      content: { "application/json": { schema: { $ref: "#/components/schemas/ExecuteWorkflowResponse" } } },
    },
    "2XX": ofResponseNode,
    "4XX": ofResponseNode,
    "5XX": ofResponseNode,
    "500": {
      description:
        "`WORKFLOW_ERRORED`: the call waited, and the execution failed; `execution_id` says which one, `error` why, and " +
        "`return_value` is there where a Response node had run. As any call: `SERVER_ERROR`.",
      content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
      "x-error-codes": ["WORKFLOW_ERRORED", "SERVER_ERROR"],
    },
  },
};

/** After how many seconds a client should ask for a response that is not there yet. */
const retryAfter = "1";

function executeReply(message: Message): RestReply {
  if (!isMessage(message, ExecuteWorkflowResponseSchema)) {
    throw new Error(`no reply of ExecuteWorkflow: ${message.$typeName}`);
  }
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
  if (statusCode === undefined) {
    return { status: 200, body: { kind: "message", message } };
  }
  // The status of the Response node becomes that of the reply, so it is not repeated in the body.
  const body = create(ExecuteWorkflowResponseSchema, { executionId, ...(returnValue && { returnValue }) });
  return { status: statusCode, body: { kind: "message", message: body } };
}
