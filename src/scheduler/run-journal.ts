import type { Clock } from "../domain/clock.ts";
import type { NodeRun } from "../domain/execution.ts";
import type { Journal } from "../engine/journal.ts";
import type { Flush } from "../storage/flush.ts";
import type { Lease } from "./lease.ts";
import { Waits } from "./waits.ts";

/** The longest that a record stays in memory alone once its execution is committed. */
const flushMs = 250;

/** How much one flush holds: the text of its outputs, and of one more at the most. */
const flushCharsMax = 1024 * 1024;

/** What a record takes beside its output, roughly. */
const recordChars = 256;

/** The shortest time that is worth sleeping through: to wake costs a claim and a replay. */
const sleepMsMin = 1_000;

/** The delay between two tries of a flush that an unreachable database kept from its answer. */
const retryMs = 250;

export type RunJournalOptions = {
  readonly clock: Clock;
  /** Commits the execution's row, if it is not. */
  readonly begin: () => Promise<void>;
  /** Commits records as the flush of that index. */
  readonly append: (flushIndex: number, runs: readonly NodeRun[]) => Promise<void>;
  /** Lets go of the execution, of which all is committed, until that time has passed. */
  readonly sleep: (ms: number) => Promise<void>;
  readonly isUnavailable: (error: unknown) => boolean;
  /** Others may begin an effect anew when this is not held. */
  readonly lease: Pick<Lease, "isHeld" | "whenHeld">;
  /** Called with a fault that no later flush can mend. */
  readonly onError: (error: unknown) => void;
};

/**
 * The journal of one run: what is recorded answers at once, what is new is kept, and committed within 250 ms, or before
 * a wait or an effect. Closed until the execution's row is committed; until then everything stays in memory. A run that
 * does nothing but wait, and for long, is let go of: what is due is the database's to know.
 */
export class RunJournal implements Journal {
  readonly #options: RunJournalOptions;
  readonly #recorded = new Map<string, { readonly run: NodeRun; readonly place: number }>();
  readonly #closed = new AbortController();
  #pending: NodeRun[] = [];
  #flushIndex = 0;
  #isOpen = false;
  #isScheduled = false;
  /** When the last commit was asked for that found the execution to be this run's. */
  #heldTime = Number.NEGATIVE_INFINITY;
  #flushing: Promise<void> = Promise.resolve();
  readonly #waits: Waits;

  constructor(options: RunJournalOptions) {
    this.#options = options;
    this.#waits = new Waits((due) => this.#fallAsleep(due));
  }

  /** Takes in what an earlier run of the execution recorded, and the index that the next flush has. */
  replay(runs: readonly NodeRun[], nextFlushIndex: number): void {
    for (const run of runs) this.#keep(run);
    this.#flushIndex = nextFlushIndex;
  }

  recall(path: string): NodeRun | undefined {
    return this.#recorded.get(path)?.run;
  }

  placeOf(path: string): number {
    return this.#recorded.get(path)?.place ?? Number.POSITIVE_INFINITY;
  }

  record(run: NodeRun): void {
    this.#keep(run);
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
      if (this.#isOpen) await untilAborted(signal, this.#flush());
    }
    const left = due - clock.now();
    if (left > 0) await this.#waits.until(due, () => clock.wait(left, signal));
  }

  work<T>(piece: () => Promise<T>): Promise<T> {
    return this.#waits.work(piece);
  }

  async beforeEffect(signal: AbortSignal): Promise<void> {
    const { lease } = this.#options;
    do {
      await untilAborted(signal, lease.whenHeld());
      await untilAborted(signal, this.#commitAll());
    } while (!lease.isHeld());
    // Committing may have shown that another run goes on with the execution.
    signal.throwIfAborted();
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

  /** Settles when no flush is under way and what is left fits into one. */
  async settled(): Promise<void> {
    for (let flushing: Promise<void> | undefined; flushing !== this.#flushing; ) {
      flushing = this.#flushing;
      // Another one may fall due meanwhile.
      await flushing;
      if (flushLength(this.#pending) === this.#pending.length || this.#closed.signal.aborted) continue;
      this.#flushing = this.#flushing.then(async () => void (await this.#flushOnce()));
    }
  }

  /** Hands over what is not committed, or as much of it as one flush holds: the next one, or the one of the end. */
  take(): Flush {
    return { index: this.#flushIndex, runs: this.#pending.splice(0, flushLength(this.#pending)) };
  }

  #keep(run: NodeRun): void {
    this.#recorded.set(run.path, { run, place: this.#recorded.size });
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
    this.#flushing = this.#flushing.then(() => this.#flushAll());
    return this.#flushing;
  }

  /** Where the database is away, the run waits on in memory. */
  #fallAsleep(due: number): void {
    const { begin, clock, isUnavailable, onError, sleep } = this.#options;
    const left = () => due - clock.now();
    if (left() < sleepMsMin) return;
    const slept = this.#flushing.then(async () => {
      await begin();
      await this.#flushAll();
      // Something else may have come to its end meanwhile, and the run gone on.
      if (this.#waits.isIdle && left() >= sleepMsMin && !this.#closed.signal.aborted) await sleep(left());
    });
    this.#flushing = slept.catch((error: unknown) => {
      if (!isUnavailable(error)) onError(error);
    });
  }

  async #commitAll(): Promise<void> {
    const { begin, clock } = this.#options;
    await begin();
    await this.#flush();
    // After a long wait with nothing to commit, an empty flush asks whether the execution is still this run's.
    if (clock.now() - this.#heldTime < flushMs) return;
    this.#flushing = this.#flushing.then(() => this.#append(this.#flushIndex++, []));
    await this.#flushing;
  }

  /** Commits all that is pending when it begins, in as many flushes as that takes. */
  async #flushAll(): Promise<void> {
    let left = this.#pending.length;
    while (Math.min(left, this.#pending.length) > 0 && !this.#closed.signal.aborted) left -= await this.#flushOnce();
  }

  /** Commits one flush; answers how many records it held. */
  async #flushOnce(): Promise<number> {
    const { index, runs } = this.take();
    if (runs.length > 0) {
      this.#flushIndex += 1;
      await this.#append(index, runs);
    }
    return runs.length;
  }

  async #append(index: number, runs: readonly NodeRun[]): Promise<void> {
    const { append, clock, isUnavailable, onError } = this.#options;
    while (!this.#closed.signal.aborted) {
      const askedTime = clock.now();
      try {
        await append(index, runs);
        this.#heldTime = askedTime;
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

/** Parts records into flushes, as an execution's journal begins with them. */
export function flushesOf(runs: readonly NodeRun[]): readonly Flush[] {
  const left = [...runs];
  const flushes: Flush[] = [];
  while (left.length > 0) flushes.push({ index: flushes.length, runs: left.splice(0, flushLength(left)) });
  return flushes;
}

/** How many records, counted from the first, one flush holds. */
function flushLength(runs: readonly NodeRun[]): number {
  let chars = 0;
  for (const [index, { input = "", output = "" }] of runs.entries()) {
    chars += recordChars + input.length + output.length;
    if (chars >= flushCharsMax) return index + 1;
  }
  return runs.length;
}

/** Settles as the work does, but rejects with the signal's reason when it aborts first: the work is then left behind. */
function untilAborted(signal: AbortSignal, work: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
