import { constants } from "node:http2";
import type { HttpExchange } from "../../domain/http/protocol-handler.ts";
import type { ServerLimits } from "../limits/server-limits.ts";

/** How long a caller has for taking a reply: a while, and longer for a long one. */
export function takeMs(response: HttpExchange["response"], { replyMs, replyBytesPerMsMin }: ServerLimits): number {
  return replyMs + Number(response.getHeader("content-length") ?? 0) / replyBytesPerMsMin;
}

/** Made once: whoever goes on without an end leaves as often, and each error that is made costs its trace. */
const callerLeft = new Error("the caller went away");

/** Whether a call was aborted since nobody waits for its reply, and not for a reason that its caller is to be told. */
export function hasLeft(signal: AbortSignal): boolean {
  return signal.reason === callerLeft;
}

/** Settles when nothing more of the reply will be sent; aborts the call if not all of it was. */
export function whenClosed(response: HttpExchange["response"], abort: AbortController): Promise<void> {
  return new Promise((resolve) => {
    response.once("close", () => {
      if (!isSent(response)) {
        abort.abort(callerLeft);
      }
      resolve();
    });
  });
}

/** Whether something settled within a time. */
export function within(settled: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, ms, false);
  return Promise.race([settled.then(() => true), late]).finally(() => clearTimeout(timer));
}

function isSent(response: HttpExchange["response"]): boolean {
  // A stream that its client resets counts as finished with Node, since Node ends it then.
  return "stream" in response
    ? response.writableEnded && response.stream.rstCode === constants.NGHTTP2_NO_ERROR
    : response.writableFinished;
}
