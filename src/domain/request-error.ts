import type { WorkflowProblem } from "../gen/flowcall/v1/workflow_pb.ts";
import { type Reason, reasons } from "./reason.ts";

/** One invalid field of a request: its path in the message, what is wrong, and the rule that it breaks. */
export type FieldViolation = { readonly field: string; readonly description: string; readonly rule?: string };

/** The details of a refusal, beside its reason and message. */
export type RequestErrorDetails = {
  /** The variable parts of the message, for programs (https://google.aip.dev/193). Never a secret. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly FieldViolation[];
  /** The problems of a definition that cannot be published. */
  readonly problems?: readonly WorkflowProblem[];
  /** When to try again, in whole seconds. */
  readonly retryAfterSeconds?: number;
  /** HTTP headers of the refusal, such as Allow. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
};

/** A refusal: the caller made a mistake or reached a limit. The caller reads its message as it is. */
export class RequestError extends Error {
  readonly reason: Reason;
  readonly details: RequestErrorDetails;

  /** A refusal with the default message of its reason. */
  static of(reason: Reason, details?: RequestErrorDetails): RequestError {
    return new RequestError(reason, reasons[reason].message, details);
  }

  constructor(reason: Reason, message: string, details: RequestErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "RequestError";
    this.reason = reason;
    this.details = details;
  }
}
