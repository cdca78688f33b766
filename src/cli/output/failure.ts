import type { JsonObject } from "@bufbuild/protobuf";
import type { WorkflowProblem } from "../../gen/flowcall/v1/workflow_pb.ts";
import type { ExitCode } from "./exit-codes.ts";
import { printable } from "./output.ts";

/** Why a command failed. If the server refused the call, reason and message are the server's. */
export type Failure = {
  readonly exitCode: ExitCode;
  readonly reason?: string;
  readonly message: string;
  readonly violations: readonly { readonly field: string; readonly description: string }[];
  readonly problems: readonly WorkflowProblem[];
  readonly requestId?: string;
};

/** The text for people: the message, then each bad field, then the request's id. */
export function failureText({ reason, message, violations, problems, requestId }: Failure): string {
  const lines = [
    `error: ${reason === undefined ? "" : `${reason}: `}${message.split("\n").map(printable).join("\n")}`,
    ...violations.map(({ field, description }) => printable(`  ${field} ${description}`)),
    ...problems.map((problem) => `  ${problemText(problem)}`),
    ...(requestId === undefined ? [] : [`  request id: ${printable(requestId)}`]),
  ];
  return lines.join("\n");
}

export function problemText({ nodeId, field, reason, message }: WorkflowProblem): string {
  return printable(`${nodeId === undefined ? "" : `node ${nodeId}: `}${field}: ${message} (${reason})`);
}

/** The JSON for programs. */
export function failureJson({ reason, message, violations, problems, requestId, exitCode }: Failure): JsonObject {
  return {
    error: {
      ...(reason !== undefined && { reason }),
      message,
      ...(violations.length > 0 && { violations: violations.map((violation) => ({ ...violation })) }),
      ...(problems.length > 0 && {
        problems: problems.map(({ nodeId, field, reason, message }) => {
          return { ...(nodeId !== undefined && { node_id: nodeId }), field, reason, message };
        }),
      }),
      ...(requestId !== undefined && { request_id: requestId }),
      exit_code: exitCode,
    },
  };
}
