import type { NodeRun } from "../../domain/execution.ts";
import { bytesOf } from "../../engine/journal/record-bytes.ts";
import { flushLength } from "./split-flushes.ts";

/** What a run has recorded and not committed, in the order in which it was recorded. */
export class PendingRecords {
  #runs: NodeRun[] = [];
  bytes = 0;

  get count(): number {
    return this.#runs.length;
  }

  /** Whether one flush holds all of them. */
  get isOneFlush(): boolean {
    return flushLength(this.#runs) === this.#runs.length;
  }

  /** When the first of them was recorded, in milliseconds since 1970. */
  get since(): number | undefined {
    const [first] = this.#runs;
    // A wait is recorded when it begins, with the time at which it will be over.
    return first?.state === "WAITING" ? first.start_time : first?.end_time;
  }

  add(run: NodeRun, bytes: number): void {
    this.#runs.push(run);
    this.bytes += bytes;
  }

  /** Hands over as many of the first ones as one flush holds. */
  take(): readonly NodeRun[] {
    const runs = this.#runs.splice(0, flushLength(this.#runs));
    this.bytes = this.#runs.length === 0 ? 0 : this.bytes - sizeOf(runs);
    return runs;
  }
}

function sizeOf(runs: readonly NodeRun[]): number {
  return runs.reduce((bytes, run) => bytes + bytesOf(run), 0);
}
