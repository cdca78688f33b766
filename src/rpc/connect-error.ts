import { ConnectError } from "@connectrpc/connect";
import { reasons } from "../domain/reason.ts";
import type { RequestError } from "../domain/request-error.ts";
import { WorkflowProblemsSchema } from "../gen/flowcall/v1/workflow_pb.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.ts";

/** Writes a refusal as Connect, gRPC and gRPC-Web carry it: code, message and `google.rpc` details (AIP-193). */
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
    ...(problems.length === 0 ? [] : [{ desc: WorkflowProblemsSchema, value: { problems: [...problems] } }]),
    ...(retryAfterSeconds === undefined
      ? []
      : [{ desc: RetryInfoSchema, value: { retryDelay: { seconds: BigInt(retryAfterSeconds) } } }]),
  ];
  const headers = retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) };
  return new ConnectError(error.message, reasons[error.reason].code, headers, details);
}
