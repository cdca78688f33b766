import { setTimeout as sleep } from "node:timers/promises";

/** Where time comes from. Tests move one of their own. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Milliseconds since some moment. Nobody sets it: two of its readings tell how much time went by between them. */
  elapsed(): number;
  /** Settles after `ms` milliseconds; rejects with the signal's reason when it aborts first. */
  wait(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Longer than this a timer of Node fires at once. */
const timerMaxMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  wait: async (ms, signal) => {
    for (let left = ms; left > 0; left -= timerMaxMs) {
      await sleep(Math.min(left, timerMaxMs), undefined, { ...(signal && { signal }) });
    }
  },
};
