import { Cron } from "croner";

/** When a schedule is due: by a cron expression in a time zone, or at single times, within bounds. */
export type Timing = {
  /** Five fields: minute, hour, day of the month, month, day of the week. */
  readonly cron?: string;
  /** An IANA name. */
  readonly timeZone: string;
  /** In order; read where there is no cron expression. */
  readonly times: readonly Date[];
  /** Inclusive, both. */
  readonly startTime?: Date;
  readonly endTime?: Date;
};

/** How many times that have passed are counted one by one. Beyond, only the last one is looked up. */
const countedMax = 200;

const secondMs = 1_000;

/**
 * The times of a schedule. A local time that a jump of the clock leaves out counts once, when the jump is over; one that comes
 * twice counts once. Throws where the cron expression or the time zone is not valid.
 */
export class Timetable {
  readonly #timing: Timing;
  readonly #cron: Cron | undefined;

  constructor(timing: Timing) {
    this.#timing = timing;
    this.#cron =
      timing.cron === undefined
        ? undefined
        : new Cron(timing.cron, { timezone: timing.timeZone, mode: "5-part", paused: true });
  }

  /** The first time behind another; undefined where there is none. */
  next(after: Date): Date | undefined {
    const { startTime, endTime, times } = this.#timing;
    const from = startTime !== undefined && startTime > after ? new Date(startTime.getTime() - 1) : after;
    const next =
      this.#cron === undefined
        ? times.find((time) => time > from)
        : // Times of a cron expression are whole seconds.
          this.#cron.nextRun(new Date(Math.floor(from.getTime() / secondMs) * secondMs));
    return next === null || next === undefined || (endTime !== undefined && next > endTime) ? undefined : next;
  }

  /** The last time from one time to another, both included, and how many there are; those beyond 200 count once. */
  passed(first: Date, now: Date): { readonly count: number; readonly last: Date } {
    let count = 1;
    let last = first;
    for (let next = this.next(last); next !== undefined && next <= now; next = this.next(last)) {
      count += 1;
      last = next;
      if (count >= countedMax) {
        return { count, last: this.#latest(now) ?? last };
      }
    }
    return { count, last };
  }

  /** The last time up to another, it included. */
  #latest(until: Date): Date | undefined {
    const { endTime } = this.#timing;
    const end = endTime !== undefined && endTime < until ? endTime : until;
    return this.#cron?.previousRuns(1, new Date(end.getTime() + secondMs))[0];
  }
}
