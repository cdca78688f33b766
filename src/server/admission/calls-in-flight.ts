import type { Principal } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { ServerLimits } from "../limits/server-limits.ts";
import { UsageCounter } from "../limits/usage-counter.ts";

/** A call that counts towards the limits until it is released. */
export type CallSlot = {
  /** From now on the call only waits for an event, and counts towards the limit of waiting calls instead. */
  wait(): void;
  /** The reply has started, or there will be none. */
  release(): void;
};

/**
 * Admission control for authenticated calls: a limit on the calls in flight, from their headers to their replies, in all
 * and for each environment. An environment may have at most as many as are free, as in `bytes-in-flight.ts`. Calls that
 * only wait, for the end of an execution or for its events, cost little and have a limit of their own.
 */
export class CallsInFlight {
  readonly #limits: ServerLimits;
  readonly #active = new UsageCounter<string>();
  readonly #waiting = new UsageCounter<string>();

  constructor(limits: ServerLimits) {
    this.#limits = limits;
  }

  /** Throws RequestError if the process or the environment has too many calls. */
  take({ environmentId }: Principal): CallSlot {
    const { callsMax, environmentCallsMax, environmentWaitingMax } = this.#limits;
    const { total } = this.#active;
    if (total >= callsMax) {
      throw processBusy(callsMax);
    }
    const own = this.#active.of(environmentId);
    const ownMax = Math.min(environmentCallsMax, callsMax - total);
    if (own >= ownMax) {
      throw tooMany("environment_calls", ownMax);
    }
    if (this.#waiting.of(environmentId) >= environmentWaitingMax) {
      throw tooMany("environment_waiting", environmentWaitingMax);
    }
    let counter: UsageCounter<string> | undefined = this.#active;
    counter.add(environmentId, 1);
    const move = (next: UsageCounter<string> | undefined): void => {
      if (counter === undefined || counter === next) {
        return;
      }
      counter.add(environmentId, -1);
      next?.add(environmentId, 1);
      counter = next;
    };
    return { wait: () => move(this.#waiting), release: () => move(undefined) };
  }
}

function tooMany(limit: string, max: number): RequestError {
  const message = `${max} calls of this environment are in flight, the most that is allowed (limit ${limit}). Try again.`;
  return new RequestError("TOO_MANY_REQUESTS", message, {
    metadata: { limit, value: String(max) },
    retryAfterSeconds: 1,
  });
}

function processBusy(max: number): RequestError {
  return new RequestError("SERVER_BUSY", `${max} calls are in flight on this process (limit calls). Try again.`, {
    metadata: { limit: "calls", value: String(max) },
    retryAfterSeconds: 1,
  });
}
