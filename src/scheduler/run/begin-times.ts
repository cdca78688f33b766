import type { NodeRun } from "../../domain/execution.ts";

/**
 * When the nodes, Groups and iterations began of which earlier runs of the execution have recorded something, but not
 * the end: a node that waited, or made an attempt, and a Group with something inside. They go on, and do not begin anew.
 */
export class BeginTimes {
  readonly #since: number;
  readonly #times = new Map<string, number>();

  /** @param since what is recorded as older was taken over from another execution, and tells nothing of this one */
  constructor(since: number) {
    this.#since = since;
  }

  of(path: string): number | undefined {
    return this.#times.get(path);
  }

  /** Takes in a record, of which the order is that of the journal: what is inside comes before its end. */
  add({ path, start_time }: NodeRun): void {
    this.#times.delete(path);
    if (start_time < this.#since) return;
    for (const outer of outerPaths(path)) {
      this.#times.set(outer, Math.min(start_time, this.#times.get(outer) ?? start_time));
    }
  }
}

/** Of `4[12]/7#wait` that is `4`, `4[12]` and `4[12]/7`. */
function outerPaths(path: string): readonly string[] {
  const hash = path.indexOf("#");
  const ends = [...path.slice(0, hash < 0 ? path.length : hash).matchAll(/[[/]/g)].map(({ index }) => index);
  return [...ends, ...(hash < 0 ? [] : [hash])].map((end) => path.slice(0, end));
}
