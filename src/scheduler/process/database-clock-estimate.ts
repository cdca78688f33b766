/** A gap larger than this between two answers means that one of the clocks was set. */
const jumpMs = 1_000;

/** The drift that two good clocks may show: 0.1 %, a hundred times what they should have. */
const drift = 0.001;

/** A time that the database told, and this process's monotonic time before the question and after the answer. */
export type ClockReading = { readonly askTime: number; readonly answerTime: number; readonly databaseTime: number };

/** The difference between the two clocks lies in this interval. */
type Offset = { readonly min: number; readonly max: number };

/**
 * Estimates the database's clock from its answers (Cristian's algorithm): the database read its clock between question
 * and answer, and the intersection of all these intervals is narrower than any one of them. An answer outside of the
 * intersection shows that somebody set the database's clock, or that this process was suspended.
 */
export class DatabaseClockEstimate {
  #offset: Offset | undefined;
  #lastAnswerTime = 0;

  /** Takes a reading; answers by how many milliseconds the database's clock was set since the last one, mostly 0. */
  add({ askTime, answerTime, databaseTime }: ClockReading): number {
    const read: Offset = { min: databaseTime - answerTime, max: databaseTime - askTime };
    const driftMs = (answerTime - this.#lastAnswerTime) * drift;
    const known = this.#offset && { min: this.#offset.min - driftMs, max: this.#offset.max + driftMs };
    this.#lastAnswerTime = answerTime;
    const common = known && { min: Math.max(known.min, read.min), max: Math.min(known.max, read.max) };
    const agrees = common !== undefined && common.min <= common.max;
    this.#offset = agrees ? common : read;
    if (known === undefined || agrees) {
      return 0;
    }
    const gapMs = read.min > known.max ? read.min - known.max : known.min - read.max;
    return gapMs > jumpMs ? middleOf(read) - middleOf(known) : 0;
  }

  /** The database's time, in milliseconds since 1970, at a monotonic time of this process; undefined before a reading. */
  at(monotonicTime: number): number | undefined {
    return this.#offset && monotonicTime + middleOf(this.#offset);
  }
}

function middleOf({ min, max }: Offset): number {
  return (min + max) / 2;
}
