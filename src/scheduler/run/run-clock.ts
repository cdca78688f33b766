import type { Clock } from "../../domain/clock.ts";
import type { Lease } from "../process/lease.ts";

/**
 * The clock by which a run's waits are timed. It begins with what the database's says, but never before the time that the
 * execution was last let sleep until, and goes on by the process's own, which nobody sets. So it does not matter whose
 * process goes on with a wait, nor that somebody sets a clock meanwhile.
 */
export class RunClock {
  readonly #clock: Clock;
  readonly #lease: Pick<Lease, "databaseNow">;
  /** What it is ahead of the process's own. */
  #ahead: number | undefined;
  #wakeTime = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, lease: Pick<Lease, "databaseNow">) {
    this.#clock = clock;
    this.#lease = lease;
  }

  /** Says until when the execution was last let sleep: what the database has found due is over, whatever any clock says. */
  sleptUntil(wakeTime: number): void {
    this.#wakeTime = wakeTime;
    this.#ahead = undefined;
  }

  /** Milliseconds since 1970. */
  now(): number {
    this.#ahead ??= Math.max(this.#lease.databaseNow() ?? this.#clock.now(), this.#wakeTime) - this.#clock.elapsed();
    return Math.round(this.#ahead + this.#clock.elapsed());
  }
}
