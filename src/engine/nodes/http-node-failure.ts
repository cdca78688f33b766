import { NodeFailure } from "../errors/node-failure.ts";
import type { HttpFailure } from "../http/http-failure.ts";

/** What a failed call is to its node: only what may go better the next time is tried again. */
export function nodeFailureOf(error: HttpFailure): Error {
  const { reason, message } = error;
  switch (reason) {
    case "ABORTED":
      // Whoever aborted decides what becomes of the node.
      return error;
    case "TIMED_OUT":
      return new NodeFailure("NODE_TIMED_OUT", message);
    case "CONNECTION_FAILED":
      return new NodeFailure(reason, message);
    default:
      return new NodeFailure(reason, message, { isFinal: true });
  }
}
