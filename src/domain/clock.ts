/** The source of time. Tests use a clock that they move themselves. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Monotonic milliseconds. Only differences of two readings have a meaning. */
  monotonic(): number;
  /** Settles after `ms` milliseconds; rejects with the signal's reason when it aborts first. */
  wait(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `fire` after `ms` milliseconds, unless the timer is cancelled before: costs less than a wait. */
  after(ms: number, fire: () => void): CancelTimer;
}

export type CancelTimer = () => void;

/** The longest timer of Node; a longer one fires at once. */
const timerMaxMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  wait: sleep,
  after: startTimer,
};

function startTimer(ms: number, fire: () => void): CancelTimer {
  let timer: NodeJS.Timeout;
  const start = (left: number) => {
    timer = left > timerMaxMs ? setTimeout(() => start(left - timerMaxMs), timerMaxMs) : setTimeout(fire, left);
  };
  start(ms);
  return () => clearTimeout(timer);
}

/** Replaces `node:timers/promises`, which creates an AbortError for each wait that ends early, as most waits do. */
function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (ms <= 0) {
    return Promise.resolve();
  }
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (signal?.aborted) {
    reject(signal.reason);
    return promise;
  }
  const abort = () => {
    cancel();
    reject(signal?.reason);
  };
  const cancel = startTimer(ms, () => {
    signal?.removeEventListener("abort", abort);
    resolve();
  });
  signal?.addEventListener("abort", abort, { once: true });
  return promise;
}
