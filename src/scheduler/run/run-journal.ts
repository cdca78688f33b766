import type { NodeRun } from "../../domain/execution.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import { isBegun } from "../../domain/under-way.ts";
import type { Journal, UnderWay, Waited } from "../../engine/journal/journal.ts";
import { bytesOf, recordsTooLarge } from "../../engine/journal/record-bytes.ts";
import type { Flush } from "../../storage/executions/flush.ts";
import { BeginTimes } from "./begin-times.ts";
import { Waits } from "./idle-detector.ts";
import { PendingRecords } from "./pending-records.ts";
import { Recorded } from "./replay-index.ts";
import { RunClock } from "./run-clock.ts";
import type { RunJournalOptions } from "./run-journal-options.ts";
import { untilAborted } from "./until-aborted.ts";
import { VisitsUnderWay } from "./visits-under-way.ts";

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

/**
 * The journal of one run: what is recorded answers at once, what is new is kept, and committed within 250 ms, or before
 * a wait or an effect. Closed until the execution's row is committed; until then everything stays in memory. A run that
 * does nothing but wait, and for long, is let go of: what is due is the database's to know.
 */
export class RunJournal implements Journal {
  readonly #options: RunJournalOptions;
  readonly #recorded = new Recorded();
  readonly #closed = new AbortController();
  #begins: BeginTimes | undefined;
  readonly #pending = new PendingRecords();
  #flushIndex = 0;
  #isOpen = false;
  #isScheduled = false;
  /** When the last commit was asked for that found the execution to be this run's. */
  #heldTime = Number.NEGATIVE_INFINITY;
  #flushing: Promise<void> = Promise.resolve();
  readonly #underWay = new VisitsUnderWay();
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
    this.#begins ??= new BeginTimes(this.#options.acceptTime);
    for (const run of runs) {
      if (!isBegun(run)) this.#recorded.add(run);
      this.#begins.add(run);
    }
    this.#flushIndex = nextFlushIndex;
    this.#weigh();
  }

  recall(path: string): NodeRun | undefined {
    return this.#recorded.find(path);
  }

  positionOf(path: string): number {
    return this.#recorded.positionOf(path);
  }

  beganAt(path: string): number | undefined {
    return this.#begins?.of(path);
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

  enter(visit: UnderWay): void {
    this.#underWay.enter(visit, this.#options.clock.now());
  }

  leave(visit: UnderWay): void {
    this.#underWay.leave(visit);
  }

  /** Records that nodes have begun which are under way for long. Nothing waits for that, and no replay asks for it. */
  recordBegun(): void {
    if (this.#closed.signal.aborted) return;
    for (const run of this.#underWay.takeBegun(this.#options.clock.now())) this.#pending.add(run, bytesOf(run));
    this.#schedule();
  }

  /** Waits until the time that was due when the path was first waited for, however often the run began anew. */
  async wait(path: string, delayMs: number, signal: AbortSignal): Promise<Waited> {
    const { clock } = this.#options;
    const waitPath = `${path}#wait`;
    const recorded = this.recall(waitPath);
    const now = this.#clock.now();
    const { start_time, end_time } = recorded ?? { start_time: now, end_time: now + delayMs };
    const ms = end_time - start_time;
    // No wait is longer than it was when it began, whatever clock it was recorded by.
    const due = Math.min(end_time, now + ms);
    if (recorded === undefined) {
      this.record({ path: waitPath, node_id: path, state: "WAITING", attempts: 0, start_time, end_time });
      if (this.#isOpen) await untilAborted(signal, this.#flush());
    }
    const left = due - this.#clock.now();
    if (left > 0) await this.#waits.until(due, () => clock.wait(left, signal));
    return { ms, tookMs: this.#clock.now() - start_time };
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
    const { since } = this.#pending;
    const age = since === undefined ? 0 : this.#options.clock.now() - since;
    this.#schedule(Math.min(Math.max(0, flushMs - age), flushMs));
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
      if (this.#pending.isOneFlush || this.#closed.signal.aborted) continue;
      this.#flushing = this.#flushing.then(async () => void (await this.#flushOnce()));
    }
  }

  /** Hands over what is not committed, or as much of it as one flush holds: the next one, or the one of the end. */
  take(): Flush {
    return { index: this.#flushIndex, runs: this.#pending.take() };
  }

  #keep(run: NodeRun, bytes: number): void {
    this.#recorded.add(run, bytes);
    this.#pending.add(run, bytes);
    this.#weigh();
    this.#schedule();
  }

  #weigh(): void {
    this.#options.memory.hold(Math.max(this.#recorded.heldBytes, this.#pending.bytes));
  }

  /** Whether a run that goes on would take room that is not there. */
  get #isCrowded(): boolean {
    return this.#pending.bytes > pendingBytesMax || this.#options.memory.isFull;
  }

  /**
   * Waits until what is pending is committed, or, where the process holds too much, for a time in which the run is put to
   * sleep as soon as nothing else of it is under way. What it is about to send is not cut short for that.
   */
  async #untilRoom(signal: AbortSignal): Promise<void> {
    const { begin, clock } = this.#options;
    while (this.#isCrowded) {
      signal.throwIfAborted();
      if (this.#pending.bytes > pendingBytesMax) {
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

  #schedule(ms = flushMs): void {
    if (!this.#isOpen || this.#isScheduled || this.#pending.count === 0) return;
    this.#isScheduled = true;
    this.#options.clock.wait(ms, this.#closed.signal).then(
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
    let left = this.#pending.count;
    while (Math.min(left, this.#pending.count) > 0 && !this.#closed.signal.aborted) left -= await this.#flushOnce();
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
