import type { HttpFailureReason } from "../http/http-failure.ts";

/** Why a node failed. A reason, once published, keeps its meaning. */
export type FailureReason =
  | "EXPRESSION_ERROR"
  | "OUTPUT_TOO_LARGE"
  | "OUTPUT_INVALID"
  | "RECORDS_TOO_LARGE"
  | "COMPARISON_TOO_LARGE"
  | "NODE_TIMED_OUT"
  | "TERMINATED"
  | "GROUP_ARRAY_INVALID"
  | "GROUP_COUNT_INVALID"
  | "GROUP_TOO_LARGE"
  | "GROUP_ITERATIONS_FAILED"
  | "DELAY_INVALID"
  | "HTTP_STATUS"
  | "REQUEST_TOO_LARGE"
  | "OUTCOME_UNKNOWN"
  | "PAGE_INVALID"
  | "PAGES_LIMIT"
  | Exclude<HttpFailureReason, "TIMED_OUT" | "ABORTED">;

/** What a failure means for the next attempt. */
type FailureDetails = {
  /** Whether another attempt cannot help, or could do harm. */
  readonly isFinal?: boolean;
  /** The least delay before the next attempt. */
  readonly retryAfterMs?: number;
};

/** A node failed, and the workflow decides what follows. Its message is told to the caller as it is. */
export class NodeFailure extends Error {
  readonly reason: FailureReason;
  readonly isFinal: boolean;
  readonly retryAfterMs: number;

  constructor(reason: FailureReason, message: string, details: FailureDetails = {}) {
    super(message);
    this.name = "NodeFailure";
    this.reason = reason;
    this.isFinal = details.isFinal ?? false;
    this.retryAfterMs = details.retryAfterMs ?? 0;
  }
}
