import type { NodeRun } from "../../domain/execution.ts";
import { isBegun } from "../../domain/under-way.ts";
import { BeginTimes } from "./begin-times.ts";
import { bytesOf } from "./record-bytes.ts";

type Entry = { readonly run: NodeRun; readonly place: number; readonly bytes: number };

/**
 * The records of an execution by path, as far as a replay can still ask for them. A replay never looks into an iteration
 * or a Group that has ended, so that their inner records are dropped: a large Group holds in memory only what its
 * iterations under way have recorded.
 */
export class ReplayIndex {
  readonly #entries = new Map<string, Entry>();
  /** The paths inside of each iteration, under `4[12]/`, and the iterations of each Group, under `4[`. */
  #inside: Map<string, string[]> | undefined;
  #begins: BeginTimes | undefined;
  #count = 0;
  /** The size of all records ever added. */
  bytes = 0;
  /** The size of the records that are still held. */
  heldBytes = 0;

  /**
   * Takes in what an earlier run of the execution recorded, in order.
   *
   * @param since when the execution was accepted, in milliseconds since 1970
   */
  replay(runs: readonly NodeRun[], since: number): void {
    this.#begins ??= new BeginTimes(since);
    for (const run of runs) {
      if (!isBegun(run)) {
        this.add(run);
      }
      this.#begins.add(run);
    }
  }

  /** When an earlier run began what is not finished at a path. */
  beganAt(path: string): number | undefined {
    return this.#begins?.of(path);
  }

  find(path: string): NodeRun | undefined {
    return this.#entries.get(path)?.run;
  }

  positionOf(path: string): number {
    return this.#entries.get(path)?.place ?? Number.POSITIVE_INFINITY;
  }

  add(run: NodeRun, bytes = bytesOf(run)): void {
    const { path } = run;
    this.#drop(path);
    this.#entries.set(path, { run, place: this.#count, bytes });
    this.#count += 1;
    this.bytes += bytes;
    this.heldBytes += bytes;
    const isIteration = path.endsWith("]");
    this.#noteInside(path);
    // Inside of what was stopped a replay looks for the failure that stopped it.
    if (run.state !== "STOPPED" && this.#inside !== undefined) {
      this.#dropInside(`${path}${isIteration ? "/" : "["}`);
    }
  }

  /** An attempt of a Try & Catch, under `4[0]/`, has no record of its own: it is known by what is inside of it. */
  #noteInside(path: string): void {
    const isIteration = path.endsWith("]");
    const outer = path.slice(0, path.lastIndexOf(isIteration ? "[" : "/") + 1);
    if (outer === "") {
      return;
    }
    this.#inside ??= new Map();
    const paths = this.#inside.get(outer);
    if (paths !== undefined) {
      paths.push(path);
      return;
    }
    this.#inside.set(outer, [path]);
    if (!isIteration) {
      this.#noteInside(outer.slice(0, -1));
    }
  }

  #dropInside(prefix: string): void {
    const paths = this.#inside?.get(prefix);
    if (paths === undefined) {
      return;
    }
    this.#inside?.delete(prefix);
    for (const path of paths) {
      this.#drop(path);
      this.#dropInside(`${path}${path.endsWith("]") ? "/" : "["}`);
    }
  }

  #drop(path: string): void {
    const entry = this.#entries.get(path);
    if (entry === undefined) {
      return;
    }
    this.#entries.delete(path);
    this.heldBytes -= entry.bytes;
  }
}
