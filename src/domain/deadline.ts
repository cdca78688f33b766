import { type Clock, systemClock } from "./clock.ts";

/**
 * Waits for a promise until a deadline. Resolves to whether it settled in time; rejects if it rejects in time. The
 * promise itself goes on after the deadline.
 * @param clock replaces the timer of Node, so that a test can move it
 */
export function settlesWithin(
  ms: number,
  promise: Promise<unknown>,
  clock: Pick<Clock, "after"> = systemClock,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => resolve(false));
    promise.then(() => resolve(true), reject).finally(cancel);
  });
}

/** Resolves to the promise's value, or to undefined if the time is over or the signal aborts first. Rejects as the promise does. */
export function valueWithin<Value>(
  ms: number,
  promise: Promise<Value>,
  { signal, clock }: { readonly signal: AbortSignal; readonly clock: Pick<Clock, "after"> },
): Promise<Value | undefined> {
  if (signal.aborted) {
    return Promise.resolve(undefined);
  }
  return new Promise((resolve, reject) => {
    const end = () => {
      cancel();
      signal.removeEventListener("abort", end);
      resolve(undefined);
    };
    const cancel = clock.after(ms, end);
    signal.addEventListener("abort", end, { once: true });
    promise.then(resolve, reject).finally(end);
  });
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
