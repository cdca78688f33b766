import type { JournalEvent, JournalPlace } from "../../storage/history/execution-events.ts";
import type { FoundExecution } from "../../storage/history/execution-reader.ts";

/** How many flushes are kept for watchers that are a little behind. */
const recentMax = 16;

/** What is known here of an execution that is watched: its latest flushes, and its end. */
export class Feed {
  readonly #execution: FoundExecution;
  #recent: JournalEvent[] = [];
  /** The flush from which on `#recent` has all that there is before `#next`. */
  #first: number;
  #next: number;
  #isOver = false;
  #waiting = new Set<() => void>();
  /** When its turn comes among the feeds of others, as a path in a `FairQueue`. */
  readonly turn: readonly string[];
  watchers = 0;

  constructor({ nextFlush, ...execution }: JournalPlace, turn: readonly string[]) {
    this.turn = turn;
    this.#execution = execution;
    this.#first = nextFlush;
    this.#next = nextFlush;
  }

  /** Where the reading goes on; undefined once the end is read. */
  get place(): JournalPlace | undefined {
    return this.#isOver ? undefined : { ...this.#execution, nextFlush: this.#next };
  }

  /** Takes what was read at `place`. */
  add(news: JournalEvent): void {
    this.#recent.push(news);
    if (news.kind === "flush") this.#next = news.index + 1;
    else this.#isOver = true;
    if (this.#recent.length > recentMax) {
      const dropped = this.#recent.shift();
      if (dropped?.kind === "flush") this.#first = dropped.index + 1;
    }
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  /** Whether what follows at a flush is no longer kept. */
  hasDropped(flush: number): boolean {
    return flush < this.#first;
  }

  /** What follows at a flush, where that is known. */
  find(flush: number): JournalEvent | undefined {
    return this.#recent.find((news) => news.kind === "end" || news.index >= flush);
  }

  /** Settles when there is more, or when the signal aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    this.#waiting.add(wake);
    signal.addEventListener("abort", wake);
    await promise;
    // A signal that lives as long as the watcher must not gather a listener for each event.
    signal.removeEventListener("abort", wake);
    this.#waiting.delete(wake);
  }
}
