import { NodeFailure } from "../errors/node-failure.ts";
import type { HttpFailure } from "../http/http-failure.ts";

/** The failure of a node whose call failed. It is final unless a retry may succeed: after a time-out or a lost connection. */
export function nodeFailureOf(error: HttpFailure): Error {
  const { reason, message } = error;
  switch (reason) {
    case "ABORTED":
      // The code that aborted the run decides what happens to the node.
      return error;
    case "TIMED_OUT":
      return new NodeFailure("NODE_TIMED_OUT", message);
    case "CONNECTION_FAILED":
      return new NodeFailure(reason, message);
    default:
      return new NodeFailure(reason, message, { isFinal: true });
  }
}
