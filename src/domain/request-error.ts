import type { WorkflowProblem } from "../gen/flowcall/v1/workflow_pb.ts";
import type { Reason } from "./reason.ts";

/** One bad field of a request: the path in the request message, what is wrong, and the rule it breaks. */
export type FieldViolation = { readonly field: string; readonly description: string; readonly rule?: string };

/** What travels with a refusal beside its reason and message. */
export type RequestErrorDetails = {
  /** Everything variable in the message, for programs (AIP-193). Never a secret. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly FieldViolation[];
  /** The problems of a definition that cannot be published. */
  readonly problems?: readonly WorkflowProblem[];
  /** When to try again, in whole seconds. */
  readonly retryAfterSeconds?: number;
  /** Headers that the refusal comes with, such as those that say what would be taken. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
};

/** A refusal: the caller's fault, or a limit. It is told to the caller as it is. */
export class RequestError extends Error {
  readonly reason: Reason;
  readonly details: RequestErrorDetails;

  constructor(reason: Reason, message: string, details: RequestErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "RequestError";
    this.reason = reason;
    this.details = details;
  }
}
