import type { NodeRun } from "../../domain/execution.ts";
import { bytesOf } from "../../engine/journal/record-bytes.ts";
import { flushLength } from "./split-flushes.ts";

/** The write buffer of a journal: records that are not committed yet, in order. */
export class PendingRecords {
  #runs: NodeRun[] = [];
  bytes = 0;

  get count(): number {
    return this.#runs.length;
  }

  /** Whether all of them fit into one flush. */
  get isOneFlush(): boolean {
    return flushLength(this.#runs) === this.#runs.length;
  }

  /** When the first of them was recorded, in milliseconds since 1970. */
  get since(): number | undefined {
    const [first] = this.#runs;
    // A wait is recorded at its beginning, with the time at which it will end.
    return first?.state === "WAITING" ? first.start_time : first?.end_time;
  }

  add(run: NodeRun, bytes: number): void {
    this.#runs.push(run);
    this.bytes += bytes;
  }

  /** Removes and answers as many of the first ones as fit into one flush. */
  take(): readonly NodeRun[] {
    const runs = this.#runs.splice(0, flushLength(this.#runs));
    this.bytes = this.#runs.length === 0 ? 0 : this.bytes - sizeOf(runs);
    return runs;
  }
}

function sizeOf(runs: readonly NodeRun[]): number {
  return runs.reduce((bytes, run) => bytes + bytesOf(run), 0);
}
