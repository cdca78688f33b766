import type { JournalEvent, JournalPlace } from "../../storage/history/execution-events.ts";
import type { FoundExecution } from "../../storage/history/execution-reader.ts";

/** How many flushes are kept for watchers that are a little behind. */
const recentMax = 16;

/** The events of one watched execution: its latest flushes and its end, shared by all its watchers. */
export class WatchFeed {
  readonly #execution: FoundExecution;
  #recent: JournalEvent[] = [];
  /** `#recent` is complete from this flush on. */
  #first: number;
  #next: number;
  #hasEnded = false;
  #waiting = new Set<() => void>();
  /** Its path in a `FairQueue` of feeds. */
  readonly turn: readonly string[];
  watchers = 0;

  constructor({ nextFlush, ...execution }: JournalPlace, turn: readonly string[]) {
    this.turn = turn;
    this.#execution = execution;
    this.#first = nextFlush;
    this.#next = nextFlush;
  }

  /** Where to read next; undefined once the end has been read. */
  get place(): JournalPlace | undefined {
    return this.#hasEnded ? undefined : { ...this.#execution, nextFlush: this.#next };
  }

  /** Adds what was read at `place`. */
  add(update: JournalEvent): void {
    this.#recent.push(update);
    if (update.kind === "flush") {
      this.#next = update.index + 1;
    } else {
      this.#hasEnded = true;
    }
    if (this.#recent.length > recentMax) {
      const dropped = this.#recent.shift();
      if (dropped?.kind === "flush") {
        this.#first = dropped.index + 1;
      }
    }
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) {
      wake();
    }
  }

  /** Whether what follows at this flush was dropped, and has to be read again. */
  hasDropped(flush: number): boolean {
    return flush < this.#first;
  }

  /** The next events after this flush; undefined where nothing has been read yet. */
  find(flush: number): JournalEvent | undefined {
    return this.#recent.find((update) => update.kind === "end" || update.index >= flush);
  }

  /** Settles when there is more, or when the signal aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted) {
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    this.#waiting.add(wake);
    signal.addEventListener("abort", wake);
    await promise;
    // The signal lives as long as its watcher and must not collect a listener for each event.
    signal.removeEventListener("abort", wake);
    this.#waiting.delete(wake);
  }
}
