import type { NodeRun } from "../../domain/execution.ts";

/**
 * When nodes, Groups and iterations began that are not finished: earlier runs of the execution have recorded a wait or an
 * attempt of theirs, or something inside of them. After a replay they go on with their first begin time.
 */
export class BeginTimes {
  readonly #since: number;
  readonly #times = new Map<string, number>();

  /** @param since older records were copied from another execution, and say nothing about this one */
  constructor(since: number) {
    this.#since = since;
  }

  of(path: string): number | undefined {
    return this.#times.get(path);
  }

  /** Adds a record, in the order of the journal: what is inside of a node comes before the node's end. */
  add({ path, start_time }: NodeRun): void {
    this.#times.delete(path);
    if (start_time < this.#since) {
      return;
    }
    for (const outer of outerPaths(path)) {
      this.#times.set(outer, Math.min(start_time, this.#times.get(outer) ?? start_time));
    }
  }
}

/** `4`, `4[12]` and `4[12]/7` for `4[12]/7#wait`. */
function outerPaths(path: string): readonly string[] {
  const hash = path.indexOf("#");
  const ends = [...path.slice(0, hash < 0 ? path.length : hash).matchAll(/[[/]/g)].map(({ index }) => index);
  return [...ends, ...(hash < 0 ? [] : [hash])].map((end) => path.slice(0, end));
}
