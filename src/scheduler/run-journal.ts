import type { Clock } from "../domain/clock.ts";
import type { NodeRun } from "../domain/execution.ts";
import { noLongerNeeded } from "../domain/no-longer-needed.ts";
import type { Journal } from "../engine/journal.ts";
import { bytesOf, recordsTooLarge } from "../engine/record-bytes.ts";
import type { Flush } from "../storage/flush.ts";
import { flushLength } from "./flushes.ts";
import type { Lease } from "./lease.ts";
import type { RunMemory } from "./record-memory.ts";
import { Recorded } from "./recorded.ts";
import { RunClock } from "./run-clock.ts";
import { untilAborted } from "./until-aborted.ts";
import { Waits } from "./waits.ts";

/** The longest that a record stays in memory alone once its execution is committed. */
const flushMs = 250;

/** How much a run has recorded, and not committed, when it waits for that: it may be faster than the database. */
const pendingBytesMax = 4 * 1024 * 1024;

/** For how long a run is put off that holds more than there is room for: at the least so long, and up to twice that. */
const putOffMs = 2_000;

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
  /** Lets go of the execution, of which all is committed, until that time has passed; it is `wakeTime` then. */
  readonly sleep: (sleep: Sleep) => Promise<void>;
  readonly isUnavailable: (error: unknown) => boolean;
  /** How large all records together may be. */
  readonly recordsBytesMax: number;
  readonly memory: RunMemory;
  /** Others may begin an effect anew when this is not held. It knows what the database's clock says, as all processes do. */
  readonly lease: Pick<Lease, "isHeld" | "whenHeld" | "databaseNow">;
  /** Called with a fault that no later flush can mend. */
  readonly onError: (error: unknown) => void;
};

export type Sleep = {
  readonly ms: number;
  readonly wakeTime: number;
  /** Whether it has something to do that there is no room for: then to have come so far says nothing for it. */
  readonly isPutOff: boolean;
};

/**
 * The journal of one run: what is recorded answers at once, what is new is kept, and committed within 250 ms, or before
 * a wait or an effect. Closed until the execution's row is committed; until then everything stays in memory. A run that
 * does nothing but wait, and for long, is let go of: what is due is the database's to know.
 */
export class RunJournal implements Journal {
  readonly #options: RunJournalOptions;
  readonly #recorded = new Recorded();
  readonly #closed = new AbortController();
  #pending: NodeRun[] = [];
  #pendingBytes = 0;
  #flushIndex = 0;
  #isOpen = false;
  #isScheduled = false;
  /** When the last commit was asked for that found the execution to be this run's. */
  #heldTime = Number.NEGATIVE_INFINITY;
  #flushing: Promise<void> = Promise.resolve();
  readonly #waits: Waits;
  readonly #clock: RunClock;

  constructor(options: RunJournalOptions) {
    this.#options = options;
    this.#clock = new RunClock(options.clock, options.lease);
    this.#waits = new Waits((due) => this.#fallAsleep(due));
  }

  /** Says until when the execution was last let sleep. */
  sleptUntil(wakeTime: number): void {
    this.#clock.sleptUntil(wakeTime);
  }

  /** Takes in what an earlier run of the execution recorded, or the next part of it, and the index of the next flush. */
  replay(runs: readonly NodeRun[], nextFlushIndex: number): void {
    for (const run of runs) this.#recorded.add(run);
    this.#flushIndex = nextFlushIndex;
    this.#weigh();
  }

  recall(path: string): NodeRun | undefined {
    return this.#recorded.find(path);
  }

  placeOf(path: string): number {
    return this.#recorded.placeOf(path);
  }

  record(run: NodeRun): void {
    const { recordsBytesMax } = this.#options;
    const bytes = bytesOf(run);
    if (this.#recorded.bytes + bytes > recordsBytesMax) throw recordsTooLarge(recordsBytesMax);
    this.#keep(run, bytes);
  }

  recordEnd(run: NodeRun): void {
    this.#keep(run, bytesOf(run));
  }

  /** Waits until the time that was due when the path was first waited for, however often the run began anew. */
  async wait(path: string, delayMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const waitPath = `${path}#wait`;
    const recorded = this.recall(waitPath);
    const now = this.#clock.now();
    // No wait is longer than it was when it began, whatever clock it was recorded by.
    const due = recorded ? Math.min(recorded.end_time, now + recorded.end_time - recorded.start_time) : now + delayMs;
    if (recorded === undefined) {
      this.record({ path: waitPath, node_id: path, state: "WAITING", attempts: 0, start_time: now, end_time: due });
      if (this.#isOpen) await untilAborted(signal, this.#flush());
    }
    const left = due - this.#clock.now();
    if (left > 0) await this.#waits.until(due, () => clock.wait(left, signal));
  }

  work<T>(piece: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (!this.#isCrowded) return this.#waits.work(piece);
    return this.#waits.work(async () => {
      await this.#untilRoom(signal);
      return await piece();
    });
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
    this.#closed.abort(noLongerNeeded);
    this.#options.memory.hold(0);
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
    const runs = this.#pending.splice(0, flushLength(this.#pending));
    this.#pendingBytes = this.#pending.length === 0 ? 0 : this.#pendingBytes - sizeOf(runs);
    return { index: this.#flushIndex, runs };
  }

  #keep(run: NodeRun, bytes: number): void {
    this.#recorded.add(run, bytes);
    this.#pending.push(run);
    this.#pendingBytes += bytes;
    this.#weigh();
    this.#schedule();
  }

  #weigh(): void {
    this.#options.memory.hold(Math.max(this.#recorded.heldBytes, this.#pendingBytes));
  }

  /** Whether a run that goes on would take room that is not there. */
  get #isCrowded(): boolean {
    return this.#pendingBytes > pendingBytesMax || this.#options.memory.isFull;
  }

  /**
   * Waits until what is pending is committed, or, where the process holds too much, for a time in which the run is put to
   * sleep as soon as nothing else of it is under way. What it is about to send is not cut short for that.
   */
  async #untilRoom(signal: AbortSignal): Promise<void> {
    const { begin, clock } = this.#options;
    while (this.#isCrowded) {
      signal.throwIfAborted();
      if (this.#pendingBytes > pendingBytesMax) {
        await untilAborted(
          signal,
          begin().then(() => this.#flush()),
        );
        continue;
      }
      const ms = putOffMs * (1 + Math.random());
      await this.#waits.until(this.#clock.now() + ms, () => clock.wait(ms, signal), "room");
    }
    signal.throwIfAborted();
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
    const { begin, isUnavailable, onError, sleep } = this.#options;
    const left = () => due - this.#clock.now();
    if (left() < sleepMsMin) return;
    // From here on others have the room: the run is about to leave it.
    this.#options.memory.hold(0);
    const slept = this.#flushing.then(async () => {
      await begin();
      await this.#flushAll();
      // Something else may have come to its end meanwhile, and the run gone on.
      if (this.#waits.isIdle && left() >= sleepMsMin && !this.#closed.signal.aborted)
        await sleep({ ms: left(), wakeTime: due, isPutOff: this.#waits.isForRoom });
      else if (!this.#closed.signal.aborted) this.#weigh();
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
    if (clock.elapsed() - this.#heldTime < flushMs) return;
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
      const askedTime = clock.elapsed();
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

function sizeOf(runs: readonly NodeRun[]): number {
  return runs.reduce((bytes, run) => bytes + bytesOf(run), 0);
}
