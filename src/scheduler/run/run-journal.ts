import type { Clock } from "../../domain/clock.ts";
import { orAborted } from "../../domain/deadline.ts";
import type { Answer, NodeRun } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Journal, UnderWay, Waited } from "../../engine/journal/journal.ts";
import { freeBytes, type MemoryShare } from "../limits/memory-budget.ts";
import type { Lease } from "../process/lease.ts";
import type { ExecutionWriter } from "./execution-writer.ts";
import { IdleDetector } from "./idle-detector.ts";
import { bytesOf, recordsTooLarge } from "./record-bytes.ts";
import { ReplayIndex } from "./replay-index.ts";
import { RunClock } from "./run-clock.ts";
import type { JournalEnd } from "./run-state.ts";
import { VisitsUnderWay } from "./visits-under-way.ts";
import { WriteBuffer } from "./write-buffer.ts";

/** Backpressure: a run that has this much uncommitted waits for the database. */
const pendingBytesMax = 4 * 1024 * 1024;

/** How long a run is deferred for which there is no memory: at least so long, and up to twice that. */
const deferMs = 2_000;

/** How often a run that is awake for something else looks for its signals: a notification of them may get lost. */
const signalPollMs = 2_000;

/** The shortest time that is worth a sleep: to wake up costs a claim and a replay. */
const sleepMsMin = 1_000;

export type RunJournalOptions = {
  readonly writer: ExecutionWriter;
  readonly clock: Clock;
  /** When the execution was accepted, in milliseconds since 1970. */
  readonly acceptTime: number;
  readonly limits: Pick<Limits, "recordsBytesMax">;
  /** Opens the run's share of the memory budget, when it comes to hold more than is free. */
  readonly openMemory: () => MemoryShare;
  readonly lease: Pick<Lease, "isHeld" | "whenHeld" | "databaseNow">;
  readonly isUnavailable: (error: unknown) => boolean;
  readonly onEnd: (end: JournalEnd) => void;
};

/**
 * The journal of one run: an index of what is recorded, and a buffer of what is not yet committed. It asks its writer to
 * commit the buffer within 250 ms, and before every wait and every effect outside. Until the execution has a row
 * everything stays in memory.
 *
 * A run of which nothing but long waits is under way goes to sleep: the log knows when it is due.
 */
export class RunJournal implements Journal {
  isReplay = false;
  readonly #options: RunJournalOptions;
  readonly #index = new ReplayIndex();
  readonly #pending: WriteBuffer;
  readonly #underWay = new VisitsUnderWay();
  readonly #idle: IdleDetector;
  #runClock: RunClock | undefined;
  #memory: MemoryShare | undefined;
  /** Aborted when a signal was set. */
  #signalled = new AbortController();

  constructor(options: RunJournalOptions) {
    this.#options = options;
    this.#pending = new WriteBuffer(options);
    this.#idle = new IdleDetector(() => void this.#fallAsleep());
  }

  sleptUntil(wakeTime: number): void {
    this.#clock.sleptUntil(wakeTime);
  }

  /** Takes in what an earlier run of the execution recorded, in order, in as many parts as the caller likes. */
  replay(runs: readonly NodeRun[]): void {
    this.isReplay = true;
    this.#index.replay(runs, this.#options.acceptTime);
    this.#holdMemory();
  }

  recall(path: string): NodeRun | undefined {
    return this.#index.find(path);
  }

  positionOf(path: string): number {
    return this.#index.positionOf(path);
  }

  beganAt(path: string): number | undefined {
    return this.#index.beganAt(path);
  }

  record(run: NodeRun): boolean {
    const { recordsBytesMax: max } = this.#options.limits;
    const bytes = bytesOf(run);
    if (this.#index.bytes + bytes > max) {
      throw recordsTooLarge(max);
    }
    this.#add(run, bytes);
    return !this.#hasTooMuch;
  }

  recordEnd(run: NodeRun): void {
    this.#add(run, bytesOf(run));
  }

  enter(visit: UnderWay): void {
    this.#underWay.enter(visit, this.#options.clock.now());
  }

  leave(visit: UnderWay): void {
    this.#underWay.leave(visit);
  }

  /** Records that nodes have begun which have been under way for a while. A replay does not need these records. */
  recordBegun(): void {
    if (this.#pending.isClosed) {
      return;
    }
    for (const run of this.#underWay.takeBegun(this.#options.clock.now())) {
      this.#pending.add(run);
    }
  }

  /** Commits the row of the execution, if that was not done. Where it fails, the run ends. */
  begin(): Promise<void> {
    return this.#pending.begin();
  }

  /** Commits a response that an earlier release recorded, and did not keep beside the journal. */
  keepAnswer(answer: Answer): void {
    void this.#pending.append([], answer);
  }

  /** Waits until the time that was due when the path was first waited for, however often the run was replayed since. */
  async wait(path: string, delayMs: number, signal: AbortSignal): Promise<Waited> {
    const { clock } = this.#options;
    const { isNew, start_time, ms, due } = this.#beginWait(path, delayMs);
    if (isNew && this.#pending.isOwned) {
      await orAborted(this.#pending.flush(), signal);
    }
    const leftMs = due - this.#clock.now();
    if (leftMs > 0) {
      await this.#idle.wait(due, () => clock.wait(leftMs, signal));
    }
    return { ms, tookMs: this.#clock.now() - start_time };
  }

  async waitForSignal(path: string, timeoutMs: number, signal: AbortSignal): Promise<string | undefined> {
    const { writer, clock, onEnd } = this.#options;
    const { due } = this.#beginWait(path, timeoutMs);
    await orAborted(this.#pending.commitAll(), signal);
    for (;;) {
      const signalled = this.#signalled.signal;
      const leftMs = due - this.#clock.now();
      const read = await orAborted(leftMs > 0 ? writer.readSignal(path) : writer.closeSignal(path), signal);
      if (read === "superseded") {
        onEnd({ kind: "SUPERSEDED" });
        signal.throwIfAborted();
      }
      if (read !== "none") {
        return typeof read === "object" ? read.value : undefined;
      }
      const pause = async () => {
        // Either one ends the pause. The run's own abort ends the wait.
        await clock.wait(Math.min(leftMs, signalPollMs), AbortSignal.any([signal, signalled])).catch(() => undefined);
        signal.throwIfAborted();
      };
      await this.#idle.wait(due, pause, { signal: path });
    }
  }

  /** Looks for the signals that the run waits for. */
  signalled(): void {
    const before = this.#signalled;
    this.#signalled = new AbortController();
    before.abort();
  }

  async work<T>(piece: () => Promise<T>, signal: AbortSignal): Promise<T> {
    this.#idle.begin();
    try {
      if (this.#hasTooMuch) {
        await this.#untilRoom(signal);
      }
      return await piece();
    } finally {
      this.#idle.end();
    }
  }

  /** Durable before effects: commits everything, and has the claim and the lease confirmed. */
  async beforeEffect(signal: AbortSignal): Promise<void> {
    const { lease } = this.#options;
    do {
      await orAborted(lease.whenHeld(), signal);
      await orAborted(this.#pending.commitAll(), signal);
    } while (!lease.isHeld());
    // The commit may have shown that another process owns the execution.
    signal.throwIfAborted();
  }

  /** Ends the timers for the end of the run: commits what does not fit into its last write, and hands that over. */
  drain(): Promise<readonly NodeRun[]> {
    return this.#pending.drain();
  }

  /** Ends the timers. What is pending is lost. */
  close(): void {
    this.#pending.close();
    this.#memory?.hold(0);
  }

  /** Records a wait, or recalls it. `due` is by the clock of this run. */
  #beginWait(path: string, delayMs: number) {
    const waitPath = `${path}#wait`;
    const recorded = this.recall(waitPath);
    const now = this.#clock.now();
    const { start_time, end_time } = recorded ?? { start_time: now, end_time: now + delayMs };
    const ms = end_time - start_time;
    if (recorded === undefined) {
      this.record({ path: waitPath, node_id: path, state: "WAITING", attempts: 0, start_time, end_time });
    }
    // Whatever clock it was recorded by, a wait is never longer than it was at its beginning.
    return { isNew: recorded === undefined, start_time, ms, due: Math.min(end_time, now + ms) };
  }

  /** Most runs wait for nothing. */
  get #clock(): RunClock {
    const { clock, lease } = this.#options;
    this.#runClock ??= new RunClock(clock, lease);
    return this.#runClock;
  }

  #add(run: NodeRun, bytes: number): void {
    this.#index.add(run, bytes);
    this.#pending.add(run, bytes);
    this.#holdMemory();
  }

  #holdMemory(): void {
    const bytes = Math.max(this.#index.heldBytes, this.#pending.bytes);
    if (bytes > freeBytes) {
      this.#memory ??= this.#options.openMemory();
    }
    this.#memory?.hold(bytes);
  }

  get #hasTooMuch(): boolean {
    return this.#pending.bytes > pendingBytesMax || this.#memory?.mustYield === true;
  }

  /**
   * Waits until what is pending is committed, or, where the process holds too much, for a time in which the run falls
   * asleep as soon as nothing else of it is under way. A request that is under way is not cut short.
   */
  async #untilRoom(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (this.#hasTooMuch) {
      signal.throwIfAborted();
      if (this.#pending.bytes > pendingBytesMax) {
        const committed = this.#pending.begin().then(() => this.#pending.flush());
        await orAborted(committed, signal);
        continue;
      }
      const ms = deferMs * (1 + Math.random());
      await this.#idle.wait(this.#clock.now() + ms, () => clock.wait(ms, signal), "memory");
    }
    signal.throwIfAborted();
  }

  /** Where the database is away, the run waits on in memory. */
  async #fallAsleep(): Promise<void> {
    const { isUnavailable, onEnd } = this.#options;
    const leftMs = () => this.#idle.dueTime - this.#clock.now();
    if (leftMs() < sleepMsMin) {
      return;
    }
    // From here on others may have the memory.
    this.#memory?.hold(0);
    try {
      await this.#pending.begin();
      await this.#pending.flush();
      if (this.#pending.isClosed) {
        return;
      }
      const ms = leftMs();
      // Something else may have ended meanwhile, and the run gone on.
      if (!this.#idle.isIdle || ms < sleepMsMin || this.#pending.count > 0) {
        this.#holdMemory();
        return;
      }
      const { dueTime: wakeTime, isForMemory: isDeferred, awaits } = this.#idle;
      const sleep = { ms, wakeTime, awaits, isDeferred };
      const slept = await this.#options.writer.sleep(sleep);
      onEnd({ kind: slept === "committed" ? "ASLEEP" : "SUPERSEDED" });
    } catch (error) {
      if (!isUnavailable(error)) {
        onEnd({ kind: "FAILED", error });
      }
    }
  }
}
