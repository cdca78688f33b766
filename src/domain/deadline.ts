import type { Clock } from "./clock.ts";
import { noLongerNeeded } from "./no-longer-needed.ts";

/**
 * Waits for a promise until a deadline. Resolves to whether it settled in time; rejects if it rejects in time. The
 * promise itself goes on after the deadline.
 * @param clock replaces the timer of Node, so that a test can move it
 */
export async function settlesWithin(
  ms: number,
  promise: Promise<unknown>,
  clock?: Pick<Clock, "wait">,
): Promise<boolean> {
  const timeout = clock === undefined ? startTimer(ms) : waitByClock(ms, clock);
  try {
    return await Promise.race([promise.then(() => true), timeout.expired]);
  } finally {
    timeout.cancel();
  }
}

/** Resolves to the promise's value, or to undefined if the time is over or the signal aborts first. Rejects as the promise does. */
export async function valueWithin<Value>(
  ms: number,
  promise: Promise<Value>,
  { signal, clock }: { readonly signal: AbortSignal; readonly clock: Pick<Clock, "wait"> },
): Promise<Value | undefined> {
  if (signal.aborted) {
    return undefined;
  }
  const aborted = Promise.withResolvers<undefined>();
  const abort = () => aborted.resolve(undefined);
  signal.addEventListener("abort", abort, { once: true });
  const timeout = waitByClock(ms, clock);
  try {
    return await Promise.race([promise, aborted.promise, timeout.expired.then(() => undefined)]);
  } finally {
    timeout.cancel();
    signal.removeEventListener("abort", abort);
  }
}

/** Settles as the promise does, or rejects with the signal's reason if it aborts first. The promise itself goes on. */
export function orAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) {
      abort();
    }
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

type Timeout = { readonly expired: Promise<false>; cancel(): void };

/** Cheaper than a wait that a signal ends: the server needs one for each request. */
function startTimer(ms: number): Timeout {
  const { promise, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(resolve, ms, false);
  return { expired: promise, cancel: () => clearTimeout(timer) };
}

function waitByClock(ms: number, clock: Pick<Clock, "wait">): Timeout {
  const cancelled = new AbortController();
  const expired = clock.wait(ms, cancelled.signal).then(() => false as const);
  return { expired, cancel: () => cancelled.abort(noLongerNeeded) };
}
