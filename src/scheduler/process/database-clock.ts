/** By how much the database's clock and this process's may disagree about the time between two answers. */
const jumpMs = 1_000;

/** How much two good clocks drift apart: 0.1 %, a hundred times what they should. */
const drift = 0.001;

/** One answer of the database that told its time, and when it was asked and had answered by this process's own clock. */
export type TimeAnswer = { readonly askedTime: number; readonly answeredTime: number; readonly databaseTime: number };

/** What has to be added to this process's clock to get the database's: something between the two. */
type Offset = { readonly min: number; readonly max: number };

/**
 * What time it is by the database's clock, as its answers tell (Cristian's algorithm): the database read its clock
 * between the question and the answer, and what all answers allow in common is closer than any one of them. An answer
 * that fits to none before shows that somebody has set that clock, or that this process stood still.
 */
export class DatabaseTime {
  #offset: Offset | undefined;
  #heardTime = 0;

  /** Takes an answer in. Answers by how many milliseconds the database's clock was set since the last one; 0: it was not. */
  hear({ askedTime, answeredTime, databaseTime }: TimeAnswer): number {
    const told: Offset = { min: databaseTime - answeredTime, max: databaseTime - askedTime };
    const driftMs = (answeredTime - this.#heardTime) * drift;
    const known = this.#offset && { min: this.#offset.min - driftMs, max: this.#offset.max + driftMs };
    this.#heardTime = answeredTime;
    const common = known && { min: Math.max(known.min, told.min), max: Math.min(known.max, told.max) };
    const fits = common !== undefined && common.min <= common.max;
    this.#offset = fits ? common : told;
    if (known === undefined || fits) return 0;
    const gapMs = told.min > known.max ? told.min - known.max : known.min - told.max;
    return gapMs > jumpMs ? middleOf(told) - middleOf(known) : 0;
  }

  /** The database's time, in milliseconds since 1970, at a time of this process's own clock; undefined before an answer. */
  at(time: number): number | undefined {
    return this.#offset && time + middleOf(this.#offset);
  }
}

function middleOf({ min, max }: Offset): number {
  return (min + max) / 2;
}
