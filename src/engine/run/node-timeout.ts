import type { Clock } from "../../domain/clock.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { NodeTimeout } from "../query/query-run.ts";

/** Opens the time-out of one attempt. Its signal also follows that of the run. */
export function openTimeout(clock: Clock, timeoutMs: number, signal: AbortSignal): NodeTimeout {
  const over = new AbortController();
  const closed = new AbortController();
  const follow = () => over.abort(signal.reason);
  signal.addEventListener("abort", follow, { once: true });
  if (signal.aborted) {
    follow();
  }
  let isStarted = false;
  return {
    signal: over.signal,
    start: () => {
      if (isStarted) {
        return;
      }
      isStarted = true;
      clock.wait(timeoutMs, closed.signal).then(
        () => over.abort(new NodeFailure("NODE_TIMED_OUT", `The node took longer than ${timeoutMs} ms.`)),
        () => undefined,
      );
    },
    close: () => {
      closed.abort(noLongerNeeded);
      signal.removeEventListener("abort", follow);
    },
  };
}
