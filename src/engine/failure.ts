/** Why a node failed. A reason, once published, keeps its meaning. */
type FailureReason =
  | "EXPRESSION_ERROR"
  | "OUTPUT_TOO_LARGE"
  | "OUTPUT_INVALID"
  | "NODE_TIMED_OUT"
  | "TERMINATED"
  | "GROUP_ARRAY_INVALID"
  | "GROUP_COUNT_INVALID"
  | "GROUP_TOO_LARGE"
  | "GROUP_ITERATIONS_FAILED"
  | "DELAY_INVALID";

/** A node failed, and the workflow decides what follows. Its message is told to the caller as it is. */
export class NodeFailure extends Error {
  readonly reason: FailureReason;

  constructor(reason: FailureReason, message: string) {
    super(message);
    this.name = "NodeFailure";
    this.reason = reason;
  }
}
