import { constants } from "node:http2";
import type { HttpExchange } from "../../domain/http/protocol-handler.ts";
import type { ServerLimits } from "../limits/server-limits.ts";

/** How long a client may take to read a reply: a fixed time, and more for a long reply. */
export function deliveryMs(response: HttpExchange["response"], { replyMs, replyBytesPerMsMin }: ServerLimits): number {
  return replyMs + Number(response.getHeader("content-length") ?? 0) / replyBytesPerMsMin;
}

/** Created once: an attacker can make many calls and leave them, and a new error would cost its stack trace each time. */
const clientDisconnected = new Error("the caller went away");

/** Whether a call was aborted because its client has disconnected, and not with an error that the client is to receive. */
export function hasDisconnected(signal: AbortSignal): boolean {
  return signal.reason === clientDisconnected;
}

/** Settles when no more of the reply will be sent. If the reply is incomplete, it aborts the call. */
export function whenClosed(response: HttpExchange["response"], abort: AbortController): Promise<void> {
  return new Promise((resolve) => {
    response.once("close", () => {
      if (!isSent(response)) {
        abort.abort(clientDisconnected);
      }
      resolve();
    });
  });
}

function isSent(response: HttpExchange["response"]): boolean {
  // Node ends a stream that its client resets, so that it counts as finished.
  return "stream" in response
    ? response.writableEnded && response.stream.rstCode === constants.NGHTTP2_NO_ERROR
    : response.writableFinished;
}
