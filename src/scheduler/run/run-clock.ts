import type { Clock } from "../../domain/clock.ts";
import type { Lease } from "../process/lease.ts";

/**
 * The clock that times a run's waits. It starts at the database's time, but never before the time until which the
 * execution slept, and advances with the monotonic clock. So a wait may be continued by any process, and nobody shortens
 * or lengthens it by setting a clock.
 */
export class RunClock {
  readonly #clock: Clock;
  readonly #lease: Pick<Lease, "databaseNow">;
  /** The difference from the monotonic clock. */
  #offset: number | undefined;
  #wakeTime = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, lease: Pick<Lease, "databaseNow">) {
    this.#clock = clock;
    this.#lease = lease;
  }

  /** Sets the time until which the execution slept. The database found it due, so that time is over. */
  sleptUntil(wakeTime: number): void {
    this.#wakeTime = wakeTime;
    this.#offset = undefined;
  }

  /** Milliseconds since 1970. */
  now(): number {
    const elapsed = this.#clock.monotonic();
    this.#offset ??= Math.max(this.#lease.databaseNow() ?? this.#clock.now(), this.#wakeTime) - elapsed;
    return Math.round(this.#offset + elapsed);
  }
}
