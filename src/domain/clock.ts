/** The source of time. Tests use a clock that they move themselves. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Monotonic milliseconds. Only differences of two readings have a meaning. */
  monotonic(): number;
  /** Settles after `ms` milliseconds; rejects with the signal's reason when it aborts first. */
  wait(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The longest timer of Node; a longer one fires at once. */
const timerMaxMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  wait: async (ms, signal) => {
    for (let left = ms; left > 0; left -= timerMaxMs) {
      await sleep(Math.min(left, timerMaxMs), signal);
    }
  },
};

/** Replaces `node:timers/promises`, which creates an AbortError for each wait that ends early, as most waits do. */
function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (signal?.aborted) {
    reject(signal.reason);
    return promise;
  }
  const abort = () => {
    clearTimeout(timer);
    reject(signal?.reason);
  };
  const timer = setTimeout(() => {
    signal?.removeEventListener("abort", abort);
    resolve();
  }, ms);
  signal?.addEventListener("abort", abort, { once: true });
  return promise;
}
