/** A run waits for a time, for memory that others hold, or until a time for a signal of this name. */
type WaitFor = "time" | "memory" | { readonly signal: string };

/**
 * Detects that nothing of a run is under way but waits. Pieces of work may wait in their middle. Between the end of one
 * piece and the beginning of the next only microtasks run, so that a run counts as idle when the event loop comes round.
 */
export class IdleDetector {
  readonly #onIdle: () => void;
  readonly #waits = new Set<{ readonly due: number; readonly what: WaitFor }>();
  #working = 0;
  #isChecking = false;

  constructor(onIdle: () => void) {
    this.#onIdle = onIdle;
  }

  /** A piece of work begins. */
  begin(): void {
    this.#working += 1;
  }

  /** A piece of work has ended, or waits. */
  end(): void {
    this.#working -= 1;
    if (this.#isChecking || !this.isIdle) {
      return;
    }
    this.#isChecking = true;
    setImmediate(() => {
      this.#isChecking = false;
      if (this.isIdle) {
        this.#onIdle();
      }
    });
  }

  /** Waits in the middle of a piece of work. `due` is in milliseconds since 1970. */
  async wait(due: number, wait: () => Promise<void>, what: WaitFor = "time"): Promise<void> {
    const entry = { due, what };
    this.#waits.add(entry);
    this.end();
    try {
      await wait();
    } finally {
      this.begin();
      this.#waits.delete(entry);
    }
  }

  get isIdle(): boolean {
    return this.#working === 0 && this.#waits.size > 0;
  }

  /** When the first of the waits is over; infinity where there is none. */
  get dueTime(): number {
    return Math.min(...[...this.#waits].map(({ due }) => due));
  }

  get isForMemory(): boolean {
    return [...this.#waits].some(({ what }) => what === "memory");
  }

  /** The names of the signals that it waits for. */
  get awaits(): readonly string[] {
    return [...this.#waits].flatMap(({ what }) => (typeof what === "object" ? [what.signal] : []));
  }
}
