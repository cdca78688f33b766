import { STATUS_CODES } from "node:http";
import { type JsonObject, toJson } from "@bufbuild/protobuf";
import type { Call } from "../domain/http/call.ts";
import { reasons } from "../domain/reason.ts";
import { RequestError, type RequestErrorDetails } from "../domain/request-error.ts";
import { WorkflowProblemSchema } from "../gen/flowcall/v1/workflow_pb.ts";
import { acceptsProblem } from "./accept.ts";
import type { TextReply } from "./http-reply.ts";
import type { ErrorBody } from "./reply-table.ts";

/** The REST reply of a refusal. */
export function errorReply(error: RequestError, call: Call): TextReply {
  call.refusal = error;
  const details = detailsJson(error.details);
  const members = Object.keys(details).length === 0 ? {} : { details };
  const { retryAfterSeconds, metadata } = error.details;
  const headers = {
    ...error.details.headers,
    ...(retryAfterSeconds !== undefined && { "retry-after": String(retryAfterSeconds) }),
    ...(error.reason === "METHOD_NOT_ALLOWED" && { allow: metadata?.["allow"] ?? "" }),
  };
  const reply = envelope(
    reasons[error.reason].status,
    { error_code: error.reason, message: error.message, members },
    call,
  );
  return { ...reply, headers };
}

/** A refusal as it is; any other error is reported, and becomes SERVER_ERROR. */
export function restRefusal(error: unknown, report: () => void): RequestError {
  if (error instanceof RequestError) {
    return error;
  }
  report();
  return RequestError.of("SERVER_ERROR", { cause: error });
}

/**
 * The documented error envelope. A caller that asks for `application/problem+json` gets the same in the form of RFC 9457,
 * whose own members stand for `status_code`, `http_error_type` and `message`.
 */
export function envelope(status: number, error: ErrorBody, call: Call): TextReply {
  const { error_code, message, members } = error;
  const beside = { request_id: call.requestId, ...members };
  if (acceptsProblem(call.headers)) {
    const problem = { type: "about:blank", title: statusText(status), status, detail: message, error_code, ...beside };
    return { status, type: problemType, headers: {}, body: JSON.stringify(problem) };
  }
  const body = { status_code: status, http_error_type: httpErrorType(status), error_code, message, ...beside };
  return { status, type: "application/json", headers: {}, body: JSON.stringify(body) };
}

const problemType = "application/problem+json";

/** The reason phrase of the HTTP standard, as `NOT_FOUND` for 404. */
function httpErrorType(status: number): string {
  return statusText(status)
    .toUpperCase()
    .replaceAll(/[^A-Z]+/g, "_");
}

function statusText(status: number): string {
  return STATUS_CODES[status] ?? (status < 500 ? "Bad Request" : "Internal Server Error");
}

function detailsJson({ metadata, violations, problems }: RequestErrorDetails): JsonObject {
  return {
    ...(violations && { violations: violations.map((violation) => ({ ...violation })) }),
    ...(problems && { problems: problems.map((problem) => toJson(WorkflowProblemSchema, problem)) }),
    ...(metadata && { metadata: { ...metadata } }),
  };
}
