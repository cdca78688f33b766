import type { Clock } from "../../src/domain/clock.ts";
import type { NodeRun } from "../../src/domain/execution.ts";
import type { Journal, Waited } from "../../src/engine/journal/journal.ts";
import { bytesOf, recordsTooLarge } from "../../src/scheduler/run/record-bytes.ts";

/** A journal in memory. Its records outlive a run, so that a test can replay them. */
export class MemoryJournal implements Journal {
  readonly records: NodeRun[] = [];
  readonly #clock: Clock;
  readonly #bytesMax: number;
  bytes = 0;
  readonly #byPath = new Map<string, NodeRun>();
  readonly #due = new Map<string, number>();
  /** The waits that were asked for, in order. */
  readonly waits: { readonly path: string; readonly delayMs: number }[] = [];

  readonly isReplay: boolean;

  constructor(clock: Clock, earlier: readonly NodeRun[] = [], bytesMax = Number.POSITIVE_INFINITY) {
    this.#clock = clock;
    this.#bytesMax = bytesMax;
    this.isReplay = earlier.length > 0;
    for (const run of earlier) {
      this.#byPath.set(run.path, run);
      this.bytes += bytesOf(run);
    }
  }

  recall(path: string): NodeRun | undefined {
    return this.#byPath.get(path);
  }

  positionOf(path: string): number {
    const place = [...this.#byPath.keys()].indexOf(path);
    return place < 0 ? Number.POSITIVE_INFINITY : place;
  }

  record(run: NodeRun): boolean {
    this.bytes += bytesOf(run);
    if (this.bytes > this.#bytesMax) {
      throw recordsTooLarge(this.#bytesMax);
    }
    this.recordEnd(run);
    return true;
  }

  recordEnd(run: NodeRun): void {
    this.records.push(run);
    this.#byPath.set(run.path, run);
  }

  async work<T>(piece: () => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    return await piece();
  }

  enter(): void {}

  leave(): void {}

  async beforeEffect(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
  }

  beganAt(): undefined {
    return undefined;
  }

  readonly signals = new Map<string, string>();

  async waitForSignal(path: string, timeoutMs: number, signal: AbortSignal): Promise<string | undefined> {
    if (!this.signals.has(path)) {
      await this.wait(path, timeoutMs, signal);
    }
    return this.signals.get(path);
  }

  async wait(path: string, delayMs: number, signal: AbortSignal): Promise<Waited> {
    this.waits.push({ path, delayMs });
    const due = this.#due.get(path) ?? this.#clock.now() + delayMs;
    this.#due.set(path, due);
    const left = due - this.#clock.now();
    if (left > 0) {
      await this.#clock.wait(left, signal);
    }
    return { ms: delayMs, tookMs: this.#clock.now() - due + delayMs };
  }
}
