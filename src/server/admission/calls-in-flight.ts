import type { Principal } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { ServerLimits } from "../limits/server-limits.ts";
import { Held } from "../limits/usage-counter.ts";

/** A call's place among those that are worked on, and then among those that wait. */
export type Seat = {
  /** Says that the call does nothing but wait for something to happen. */
  wait(): void;
  /** Says that its reply has begun, or that there will be none. */
  leave(): void;
};

/**
 * The calls with a key that are under way, from their headers to their replies: in all, and of each environment. An
 * environment may have no more than there is room for (see `body-bytes.ts`). Calls that only wait, for the end of an
 * execution or for its events, cost little; they have a bound of their own.
 */
export class CallsInFlight {
  readonly #limits: ServerLimits;
  readonly #busy = new Held<string>();
  readonly #waiting = new Held<string>();

  constructor(limits: ServerLimits) {
    this.#limits = limits;
  }

  /** Throws RequestError where the environment, or the process, has too many. */
  enter({ environmentId }: Principal): Seat {
    const { callsMax, environmentCallsMax, environmentWaitingMax } = this.#limits;
    const { total } = this.#busy;
    if (total >= callsMax) throw processBusy(callsMax);
    const own = this.#busy.by(environmentId);
    const room = Math.min(environmentCallsMax, callsMax - total);
    if (own >= room) throw tooMany("environment_calls", room);
    if (this.#waiting.by(environmentId) >= environmentWaitingMax) {
      throw tooMany("environment_waiting", environmentWaitingMax);
    }
    let place: Held<string> | undefined = this.#busy;
    place.add(environmentId, 1);
    const move = (next: Held<string> | undefined): void => {
      if (place === undefined || place === next) return;
      place.add(environmentId, -1);
      next?.add(environmentId, 1);
      place = next;
    };
    return { wait: () => move(this.#waiting), leave: () => move(undefined) };
  }
}

function tooMany(limit: string, max: number): RequestError {
  const message = `${max} calls of this environment are under way, the most that may be (limit ${limit}). Try again.`;
  return new RequestError("TOO_MANY_REQUESTS", message, {
    metadata: { limit, value: String(max) },
    retryAfterSeconds: 1,
  });
}

function processBusy(max: number): RequestError {
  return new RequestError("SERVER_BUSY", `${max} calls are under way on this process (limit calls). Try again.`, {
    metadata: { limit: "calls", value: String(max) },
    retryAfterSeconds: 1,
  });
}
