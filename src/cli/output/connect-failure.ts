import { Code, ConnectError } from "@connectrpc/connect";
import { WorkflowProblemsSchema } from "../../gen/flowcall/v1/workflow_pb.ts";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { exitCodes } from "./exit-codes.ts";
import type { Failure } from "./failure.ts";

/** Reads the reason, the violations and the request id out of a Connect error. */
export function connectFailure(thrown: Error, url = "the server"): Failure {
  const error = ConnectError.from(thrown);
  const info = error.findDetails(ErrorInfoSchema)[0];
  const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  const problems = error.findDetails(WorkflowProblemsSchema).flatMap((details) => details.problems);
  const requestId = error.metadata.get("x-request-id");
  const isUnauthorized = error.code === Code.Unauthenticated || error.code === Code.PermissionDenied;
  return {
    exitCode: isUnauthorized ? exitCodes.unauthorized : exitCodes.error,
    ...(info !== undefined && { reason: info.reason }),
    message: info === undefined ? unknownFailure(error, url) : error.rawMessage,
    violations: violations.map(({ field, description }) => ({ field, description })),
    problems,
    ...(requestId !== null && { requestId }),
  };
}

/** The message for an error without our ErrorInfo: nothing answered, or something that is no Flowcall server. */
function unknownFailure(error: ConnectError, url: string): string {
  const code = codeOfCause(error.cause);
  if (code !== undefined && /CERT|SIGNATURE|ALTNAME/.test(code)) {
    return `The certificate of ${url} is not trusted (${code}). Name the file of its authority in NODE_EXTRA_CA_CERTS.`;
  }
  if (code !== undefined) {
    return `Nothing answers at ${url} (${code}). Is the server running? See: flowcall doctor`;
  }
  if (error.code === Code.Unimplemented) {
    return `The server at ${url} lacks this method: ${error.rawMessage}`;
  }
  return error.message;
}

function codeOfCause(cause: unknown): string | undefined {
  if (!(cause instanceof Error)) {
    return undefined;
  }
  if ("code" in cause && typeof cause.code === "string" && /^[A-Z_]{4,}$/.test(cause.code)) {
    return cause.code;
  }
  return codeOfCause(cause.cause);
}
