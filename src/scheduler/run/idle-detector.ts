/** What is waited for: a time, or room in memory. */
type What = "time" | "room";

/**
 * Knows when all that a run still does is wait. Pieces of work may wait in the middle; between the end of one piece and
 * the beginning of the next the run takes no turn of the event loop, and is busy all the same.
 */
export class Waits {
  readonly #onIdle: (due: number) => void;
  readonly #dues = new Set<{ readonly due: number; readonly what: What }>();
  #working = 0;
  #isAsking = false;

  /** `onIdle` is told when the first of the waits is over, in milliseconds since 1970. */
  constructor(onIdle: (due: number) => void) {
    this.#onIdle = onIdle;
  }

  async work<T>(piece: () => Promise<T>): Promise<T> {
    this.#working += 1;
    try {
      return await piece();
    } finally {
      this.#rest();
    }
  }

  /** Waits, in the middle of a piece of work, for what is due at a time. */
  async until(due: number, wait: () => Promise<void>, what: What = "time"): Promise<void> {
    const entry = { due, what };
    this.#dues.add(entry);
    this.#rest();
    try {
      await wait();
    } finally {
      this.#working += 1;
      this.#dues.delete(entry);
    }
  }

  /** Whether nothing is under way but waits. */
  get isIdle(): boolean {
    return this.#working === 0 && this.#dues.size > 0;
  }

  /** Whether a piece of work waits for room. */
  get isForRoom(): boolean {
    return [...this.#dues].some(({ what }) => what === "room");
  }

  #rest(): void {
    this.#working -= 1;
    if (this.#isAsking || !this.isIdle) return;
    this.#isAsking = true;
    setImmediate(() => {
      this.#isAsking = false;
      if (!this.isIdle) return;
      this.#onIdle(Math.min(...[...this.#dues].map(({ due }) => due)));
    });
  }
}
