import { create, isMessage, type JsonObject, type Message, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  ExecuteWorkflowResponseSchema,
  ExecutionErrorSchema,
  ExecutionResult_Status as Status,
} from "../gen/flowcall/v1/execution_pb.ts";
import type { ReplyTable, RestReply } from "./reply-table.ts";

/**
 * How replies become REST where it is not 200 and the whole message: the one table of it.
 *
 * A failed execution is a successful answer about a failed execution to gRPC; a REST client looks at the status first.
 */
export const restReplies: ReplyTable = new Map([[ExecuteWorkflowResponseSchema.typeName, executeReply]]);

const ofResponseNode: JsonObject = {
  description:
    "The workflow completed, and its Response node sets this status. It may be one of those that refusals have too: the " +
    "header `x-execution-status` is `COMPLETED` then, and there is no `error_code`.",
  content: { "application/json": { schema: { $ref: "#/components/schemas/ExecuteWorkflowResponse" } } },
};

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
