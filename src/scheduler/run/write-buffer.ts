import type { CancelTimer, Clock } from "../../domain/clock.ts";
import type { Answer, NodeRun } from "../../domain/execution.ts";
import type { ExecutionWriter } from "./execution-writer.ts";
import { bytesOf } from "./record-bytes.ts";
import { CallChangedError, type JournalEnd } from "./run-state.ts";
import { flushCharsMax, flushLength } from "./split-flushes.ts";

/** The longest that a record stays in memory alone once its execution is committed. */
const flushMs = 250;

export type WriteBufferOptions = {
  readonly writer: ExecutionWriter;
  readonly clock: Clock;
  readonly onEnd: (end: JournalEnd) => void;
};

/**
 * The records of a run that are not committed yet, in order. Once the execution has a row they are committed within 250 ms,
 * one flush at a time. Where that fails, or another process owns the execution, the run ends.
 */
export class WriteBuffer {
  readonly #options: WriteBufferOptions;
  #runs: NodeRun[] = [];
  #isOwned = false;
  #cancelFlush: CancelTimer | undefined;
  #isClosed = false;
  bytes = 0;

  constructor(options: WriteBufferOptions) {
    this.#options = options;
    options.writer.onOwned(() => this.#beginFlushing());
  }

  get count(): number {
    return this.#runs.length;
  }

  /** Whether the execution has a row. Without one nothing is committed before the run ends or asks for it. */
  get isOwned(): boolean {
    return this.#isOwned;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  add(run: NodeRun, bytes = bytesOf(run)): void {
    this.#runs.push(run);
    this.bytes += bytes;
    this.#schedule(flushMs);
  }

  /** Commits the row of the execution, if that was not done. */
  async begin(): Promise<void> {
    const { writer, onEnd } = this.#options;
    try {
      if ((await writer.begin()) === "changed") {
        throw new CallChangedError();
      }
    } catch (error) {
      onEnd({ kind: "FAILED", error });
      throw error;
    }
  }

  /** Commits all that is pending at this moment, in as many flushes as that takes, with what is recorded meanwhile. */
  async flush(): Promise<void> {
    const { writer } = this.#options;
    // One flush at a time: while the database is slow, the next one gathers more.
    await writer.idle();
    let left = this.count;
    while (left > 0 && this.count > 0 && !this.isClosed) {
      const runs = this.#take();
      left -= runs.length;
      await this.append(runs);
    }
    // A flush that began at the same time may have taken a part.
    await writer.idle();
  }

  /** Commits the row and all that is pending, and has the claim confirmed where the last commit is a while ago. */
  async commitAll(): Promise<void> {
    const { writer, clock } = this.#options;
    await this.begin();
    await this.flush();
    // An empty flush asks whether the claim still holds.
    if (clock.monotonic() - writer.confirmedTime >= flushMs) {
      await this.append([]);
    }
  }

  async append(runs: readonly NodeRun[], answer?: Answer): Promise<void> {
    const { writer, onEnd } = this.#options;
    try {
      if ((await writer.append(runs, answer)) === "superseded") {
        onEnd({ kind: "SUPERSEDED" });
      }
    } catch (error) {
      // This may be the abort reason of a run that was interrupted before. The first end of a run counts.
      onEnd({ kind: "FAILED", error });
    }
  }

  /** Ends the timer for the end of the run: commits what does not fit into its last write, and hands that over. */
  async drain(): Promise<readonly NodeRun[]> {
    this.close();
    if (!this.#isOneFlush) {
      await this.begin();
    }
    while (!this.#isOneFlush) {
      await this.append(this.#take());
    }
    return this.#take();
  }

  /** Ends the timer. What is pending is lost. */
  close(): void {
    this.#isClosed = true;
    this.#cancelFlush?.();
  }

  #beginFlushing(): void {
    this.#isOwned = true;
    const [first] = this.#runs;
    // A wait is recorded at its beginning, with the time at which it will end.
    const since = first?.state === "WAITING" ? first.start_time : first?.end_time;
    const ageMs = since === undefined ? 0 : this.#options.clock.now() - since;
    this.#schedule(Math.min(Math.max(0, flushMs - ageMs), flushMs));
  }

  #schedule(ms: number): void {
    if (!this.#isOwned || this.#isClosed || this.#cancelFlush !== undefined || this.count === 0) {
      return;
    }
    this.#cancelFlush = this.#options.clock.after(ms, () => {
      this.#cancelFlush = undefined;
      void this.flush();
    });
  }

  get #isOneFlush(): boolean {
    return this.bytes < flushCharsMax || flushLength(this.#runs) === this.count;
  }

  /** Removes and answers as many of the first records as fit into one flush. */
  #take(): readonly NodeRun[] {
    if (this.bytes < flushCharsMax) {
      const all = this.#runs;
      this.#runs = [];
      this.bytes = 0;
      return all;
    }
    const runs = this.#runs.splice(0, flushLength(this.#runs));
    this.bytes = this.count === 0 ? 0 : this.bytes - runs.reduce((bytes, run) => bytes + bytesOf(run), 0);
    return runs;
  }
}
