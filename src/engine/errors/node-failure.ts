import type { JsonValue } from "@bufbuild/protobuf";
import type { ExecutionError } from "../../domain/execution.ts";
import type { HttpFailureReason } from "../http/http-failure.ts";

/** The reason of a failed node. Stable once published. */
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
  | "MERGE_INCOMPLETE"
  | "CODE_ERROR"
  | "CODE_FUNCTION_MISSING"
  | "CODE_MODULE_UNKNOWN"
  | "CODE_OUT_OF_MEMORY"
  | "CODE_WORKER_LOST"
  | "PARAMETERS_TOO_LARGE"
  | "MAPPER_INPUT_INVALID"
  | "MAPPER_MAPPING_INVALID"
  | "DELAY_INVALID"
  | "WAIT_INVALID"
  | "WEBHOOK_TIMED_OUT"
  | "SUB_FLOW_NOT_FOUND"
  | "SUB_FLOW_REFUSED"
  | "SUB_FLOW_ERRORED"
  | "SUB_FLOW_TOO_DEEP"
  | "HTTP_STATUS"
  | "REQUEST_TOO_LARGE"
  | "OUTCOME_UNKNOWN"
  | "CONNECTION_MISSING"
  | "CONNECTION_INCOMPLETE"
  | "CONNECTION_UNREADABLE"
  | "VARIABLE_MISSING"
  | "PAGE_INVALID"
  | "PAGES_LIMIT"
  | Exclude<HttpFailureReason, "TIMED_OUT" | "ABORTED">;

/** The answer of a server that failed a node. */
export type FailedAnswer = {
  readonly status: number;
  /** JSON, or else text. Absent where it is empty, or could not be read. */
  readonly body?: JsonValue;
  /** Whether the body is only the beginning of its text. */
  readonly isCut?: boolean;
};

/** Facts that decide about a retry, and what there is beside the message. */
type FailureDetails = {
  /** Whether a retry cannot help, or could do harm. */
  readonly isFinal?: boolean;
  /** The minimum delay before the next attempt. */
  readonly retryAfterMs?: number;
  readonly answer?: FailedAnswer;
  /** The failure of a node inside of this one, which is also its own. */
  readonly inner?: ExecutionError;
  /** The execution whose failure it is. */
  readonly executionId?: string;
};

/** A node failed, and the workflow decides what follows. Callers of the workflow read the message as it is. */
export class NodeFailure extends Error {
  readonly reason: FailureReason;
  readonly isFinal: boolean;
  readonly retryAfterMs: number;
  readonly answer: FailedAnswer | undefined;
  readonly inner: ExecutionError | undefined;
  readonly executionId: string | undefined;

  constructor(reason: FailureReason, message: string, details: FailureDetails = {}) {
    super(message);
    this.name = "NodeFailure";
    this.reason = reason;
    this.isFinal = details.isFinal ?? false;
    this.retryAfterMs = details.retryAfterMs ?? 0;
    this.answer = details.answer;
    this.executionId = details.executionId;
    this.inner = details.inner;
  }

  /** The failure of a node that fails since one inside of it has. */
  static of(inner: ExecutionError): NodeFailure {
    // The engine described it from a NodeFailure.
    return new NodeFailure(inner.reason as FailureReason, inner.message, { inner });
  }
}
