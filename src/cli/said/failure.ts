import type { JsonObject } from "@bufbuild/protobuf";
import type { WorkflowProblem } from "../../gen/flowcall/v1/workflow_pb.ts";
import { CliError } from "./cli-error.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { printable } from "./output.ts";

/** Why a command failed, in the words of the server where it was the server's refusal. */
export type Failure = {
  readonly exitCode: ExitCode;
  readonly reason?: string;
  readonly message: string;
  readonly violations: readonly { readonly field: string; readonly description: string }[];
  readonly problems: readonly WorkflowProblem[];
  readonly requestId?: string;
};

/** What a thrown thing says. Only a refusal of the server needs what reads those. */
export async function failureOf(error: unknown, url?: string): Promise<Failure> {
  const none = { violations: [], problems: [] };
  if (error instanceof CliError) return { ...none, exitCode: error.exitCode, message: messageWithCauses(error) };
  if (error instanceof Error && error.name === "ConnectError") return await refusalOf(error, url);
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { ...none, exitCode: exitCodes.error, message: `This should not happen: ${message}` };
}

async function refusalOf(error: Error, url: string | undefined): Promise<Failure> {
  return (await import("./refusal.ts")).refusalOf(error, url);
}

function messageWithCauses(error: Error): string {
  return error.cause instanceof Error ? `${error.message}\n  since ${messageWithCauses(error.cause)}` : error.message;
}

/** As people read it: what, then each bad field, then the request's id. */
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

/** The same for programs. */
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
