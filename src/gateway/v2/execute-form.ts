import { type JsonObject, toJson } from "@bufbuild/protobuf";
import { writeFieldJson } from "../../domain/json/json-writer.ts";
import {
  ExecuteWorkflowRequestSchema,
  type ExecuteWorkflowResponse,
  ExecuteWorkflowResponseSchema,
  ExecutionErrorSchema,
  ExecutionResult_Status as Status,
} from "../../gen/flowcall/v1/execution_pb.ts";
import type { RestReply } from "../reply-table.ts";
import { accountOfKey, asMessage, unknownParameter } from "./form-fields.ts";
import type { RestForm } from "./rest-form.ts";

const startedMessage = "Workflow execution started";

const tagHeader = "instance_tag";

/** Headers are always in the event, whatever this says. */
const includeHeaders = "include-headers";

const resultSchema: JsonObject = {
  type: "object",
  required: ["execution_id", "return_value", "errored", "status_code"],
  properties: {
    execution_id: { type: "string" },
    return_value: { description: "The value of the Response node; null where none has run." },
    errored: { type: "boolean", description: "Whether the execution failed." },
    status_code: { type: "integer", description: "The status of the Response node, else 200; 500 where it failed." },
    execution_error: { $ref: "#/components/schemas/ExecutionError" },
  },
};

const startedSchema: JsonObject = {
  type: "object",
  required: ["message", "execution_id"],
  properties: { message: { const: startedMessage }, execution_id: { type: "string" } },
};

/** ExecuteWorkflow with the replies of `POST /api/v2/public/workflow/{workflow}/execute`. */
export const executeForm: RestForm = {
  fill(message, { query, call }) {
    const request = asMessage(ExecuteWorkflowRequestSchema, message);
    request.linkedAccountId = accountOfKey(call) ?? request.linkedAccountId;
    const [tag = "", ...others] = call.headers.get(tagHeader) ?? call.headers.get("instance-tag") ?? [];
    if (tag !== "") {
      request.tag = tag;
    }
    const strange = query.filter(({ name }) => name !== includeHeaders);
    return [
      ...strange.map(({ name }) => unknownParameter(name, [includeHeaders])),
      ...(others.length > 0 ? [{ field: tagHeader, description: "was sent more than once; send it once" }] : []),
    ];
  },
  reply(answer, request) {
    const { syncExecution = false } = asMessage(ExecuteWorkflowRequestSchema, request);
    const started = asMessage(ExecuteWorkflowResponseSchema, answer);
    const isEnded = started.status !== Status.RUNNING && (started.returnValue ?? started.status) !== undefined;
    return syncExecution && isEnded ? resultReply(started) : startedReply(started);
  },
  documented: {
    operationId: "executeWorkflowV2",
    summary: "Refold: run a workflow",
    note:
      "The same call with the replies that clients of Refold know. A failed execution is 200 with `errored`. Where the key " +
      "is restricted to one linked account, that one is meant if no header names any.",
    parameters: [
      {
        name: tagHeader,
        in: "header",
        description: "The same as `tag`.",
        schema: { type: "string", minLength: 1, maxLength: 128 },
      },
      {
        name: includeHeaders,
        in: "query",
        description: "Changes nothing: the headers of a call are always in `event.headers`.",
        schema: { type: "string" },
      },
    ],
    replies: {
      "200": {
        description: "The execution was accepted; or, with `sync_execution`, it has ended.",
        content: { "application/json": { schema: { anyOf: [startedSchema, resultSchema] } } },
      },
      "202": {
        description: "The wait of a synchronous call is over, and the execution goes on. `Location` has its response.",
        content: { "application/json": { schema: startedSchema } },
      },
      "2XX": ofResponseNode(),
      "4XX": ofResponseNode(),
      "5XX": ofResponseNode(),
    },
  },
};

function ofResponseNode(): JsonObject {
  return {
    description:
      "The workflow completed, and its Response node sets this status: the header `x-execution-status` is `COMPLETED`.",
    content: { "application/json": { schema: resultSchema } },
  };
}

function startedReply({ executionId, status }: ExecuteWorkflowResponse): RestReply {
  const text = JSON.stringify({ message: startedMessage, execution_id: executionId });
  if (status !== Status.RUNNING) {
    return { status: 200, body: { kind: "json", text } };
  }
  const headers = { location: `/api/v1/execution/${executionId}/response`, "retry-after": "1" };
  return { status: 202, headers, body: { kind: "json", text } };
}

function resultReply(answer: ExecuteWorkflowResponse): RestReply {
  const { executionId, status, error, statusCode = 200 } = answer;
  const isErrored = status === Status.ERRORED;
  const value = writeFieldJson(ExecuteWorkflowResponseSchema, ExecuteWorkflowResponseSchema.field.returnValue, answer);
  const rest = JSON.stringify({
    execution_id: executionId,
    errored: isErrored,
    status_code: isErrored ? 500 : statusCode,
    ...(error !== undefined && { execution_error: toJson(ExecutionErrorSchema, error) }),
  });
  // The value is copied as the text that it carries.
  const text = `{"return_value":${value},${rest.slice(1)}`;
  return { status: isErrored ? 200 : statusCode, body: { kind: "json", text } };
}
