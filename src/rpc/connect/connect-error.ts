import { ConnectError } from "@connectrpc/connect";
import { reasons } from "../../domain/reason.ts";
import type { RequestError } from "../../domain/request-error.ts";
import { type WorkflowProblem, WorkflowProblemsSchema } from "../../gen/flowcall/v1/workflow_pb.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";

/**
 * The characters of problems that a refusal carries: gRPC sends it in trailers, and many clients take at most 8 KiB of
 * those, encoded. ErrorInfo holds the number of problems, and ValidateDraft answers all of them.
 */
const problemCharsMax = 4096;

/** The error of a refusal for Connect, gRPC and gRPC-Web: code, message and `google.rpc` details (google.aip.dev/193). */
export function connectErrorOf(error: RequestError): ConnectError {
  const { metadata = {}, violations = [], problems = [], retryAfterSeconds } = error.details;
  const details = [
    { desc: ErrorInfoSchema, value: { reason: error.reason, domain: "flowcall", metadata: { ...metadata } } },
    ...(violations.length === 0
      ? []
      : [
          {
            desc: BadRequestSchema,
            value: {
              fieldViolations: violations.map(({ field, description, rule = "" }) => ({
                field,
                description,
                reason: rule.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_"),
              })),
            },
          },
        ]),
    ...(problems.length === 0 ? [] : [{ desc: WorkflowProblemsSchema, value: { problems: fitting(problems) } }]),
    ...(retryAfterSeconds === undefined
      ? []
      : [{ desc: RetryInfoSchema, value: { retryDelay: { seconds: BigInt(retryAfterSeconds) } } }]),
  ];
  const headers = retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) };
  return new ConnectError(error.message, reasons[error.reason].code, headers, details);
}

/** The first problems that fit, and at least one. */
function fitting(problems: readonly WorkflowProblem[]): WorkflowProblem[] {
  let chars = 0;
  return problems.filter(({ nodeId = "", field, reason, message }, index) => {
    chars += nodeId.length + field.length + reason.length + message.length;
    return index === 0 || chars <= problemCharsMax;
  });
}
