import type { NodeRun } from "../../domain/execution.ts";
import { bytesOf } from "../../engine/journal/record-bytes.ts";

type Entry = { readonly run: NodeRun; readonly place: number; readonly bytes: number };

/**
 * What is recorded of an execution, as far as a run of it may still ask for it: an iteration that has ended is not looked
 * into again, nor is a Group. So a Group holds in memory what its iterations under way have recorded, and no more.
 */
export class Recorded {
  readonly #entries = new Map<string, Entry>();
  /** The paths inside of each iteration, as `4[12]/`, and of the iterations of each Group, as `4[`. */
  readonly #inside = new Map<string, string[]>();
  #count = 0;
  /** Of all that was ever recorded. */
  bytes = 0;
  /** Of what is held. */
  heldBytes = 0;

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
    const outside = path.slice(0, path.lastIndexOf(isIteration ? "[" : "/") + 1);
    if (outside !== "") {
      const paths = this.#inside.get(outside);
      if (paths === undefined) this.#inside.set(outside, [path]);
      else paths.push(path);
    }
    // Of what was stopped a replay looks for what stopped it.
    if (run.state !== "STOPPED") this.#dropInside(`${path}${isIteration ? "/" : "["}`);
  }

  #dropInside(prefix: string): void {
    const paths = this.#inside.get(prefix);
    if (paths === undefined) return;
    this.#inside.delete(prefix);
    for (const path of paths) {
      this.#drop(path);
      this.#dropInside(`${path}${path.endsWith("]") ? "/" : "["}`);
    }
  }

  #drop(path: string): void {
    const entry = this.#entries.get(path);
    if (entry === undefined) return;
    this.#entries.delete(path);
    this.heldBytes -= entry.bytes;
  }
}
