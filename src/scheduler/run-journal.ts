import type { Clock } from "../domain/clock.ts";
import type { NodeRun } from "../domain/execution.ts";
import type { Journal } from "../engine/journal.ts";

/** The longest that a record stays in memory alone once its execution is committed. */
const flushMs = 250;

/** The delay between two tries of a flush that an unreachable database kept from its answer. */
const retryMs = 250;

export type RunJournalOptions = {
  readonly clock: Clock;
  /** Commits records as the flush of that index. */
  readonly append: (flushIndex: number, runs: readonly NodeRun[]) => Promise<void>;
  readonly isUnavailable: (error: unknown) => boolean;
  /** Called with a fault that no later flush can mend. */
  readonly onError: (error: unknown) => void;
};

/**
 * The journal of one run: what is recorded answers at once, what is new is kept, and committed within 250 ms or before
 * a wait. Closed until the execution's row is committed; until then everything stays in memory.
 */
export class RunJournal implements Journal {
  readonly #options: RunJournalOptions;
  readonly #recorded = new Map<string, NodeRun>();
  readonly #closed = new AbortController();
  #pending: NodeRun[] = [];
  #flushIndex = 0;
  #isOpen = false;
  #isScheduled = false;
  #flushing: Promise<void> = Promise.resolve();

  constructor(options: RunJournalOptions) {
    this.#options = options;
  }

  /** Takes in what an earlier run of the execution recorded, and the index that the next flush has. */
  replay(runs: readonly NodeRun[], nextFlushIndex: number): void {
    for (const run of runs) this.#recorded.set(run.path, run);
    this.#flushIndex = nextFlushIndex;
  }

  recall(path: string): NodeRun | undefined {
    return this.#recorded.get(path);
  }

  record(run: NodeRun): void {
    this.#recorded.set(run.path, run);
    this.#pending.push(run);
    this.#schedule();
  }

  /** Waits until the time that was due when the path was first waited for, however often the run began anew. */
  async wait(path: string, delayMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const waitPath = `${path}#wait`;
    let due = this.recall(waitPath)?.end_time;
    if (due === undefined) {
      const now = clock.now();
      due = now + delayMs;
      this.record({ path: waitPath, node_id: path, state: "WAITING", attempts: 0, start_time: now, end_time: due });
      if (this.#isOpen) await this.#flush();
    }
    const left = due - clock.now();
    if (left > 0) await clock.wait(left, signal);
  }

  /** Lets records be committed from now on. */
  open(): void {
    this.#isOpen = true;
    this.#schedule();
  }

  /** Ends the timers. What is pending is for `take` or lost with the run. */
  close(): void {
    this.#isOpen = false;
    this.#closed.abort();
  }

  /** Settles when no flush is under way. */
  async settled(): Promise<void> {
    await this.#flushing;
  }

  /** Hands over what is not committed, for the commit of the execution's end. */
  take(): { readonly index: number; readonly runs: readonly NodeRun[] } {
    const runs = this.#pending;
    this.#pending = [];
    return { index: this.#flushIndex, runs };
  }

  #schedule(): void {
    if (!this.#isOpen || this.#isScheduled || this.#pending.length === 0) return;
    this.#isScheduled = true;
    this.#options.clock.wait(flushMs, this.#closed.signal).then(
      () => {
        this.#isScheduled = false;
        return this.#flush();
      },
      () => undefined,
    );
  }

  #flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#flushOnce());
    return this.#flushing;
  }

  async #flushOnce(): Promise<void> {
    const { append, clock, isUnavailable, onError } = this.#options;
    const { index, runs } = this.take();
    if (runs.length === 0) return;
    this.#flushIndex += 1;
    while (!this.#closed.signal.aborted) {
      try {
        await append(index, runs);
        return;
      } catch (error) {
        if (!isUnavailable(error)) {
          onError(error);
          return;
        }
        await clock.wait(retryMs, this.#closed.signal).catch(() => undefined);
      }
    }
  }
}
