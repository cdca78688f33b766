import type { NodeAttempt, NodeRun } from "../../domain/execution.ts";

type Head = Pick<NodeRun, "path" | "start_time" | "end_time" | "error">;

/** The attempts of one node run, from the records of a journal in the order in which they were written. */
export class AttemptList {
  readonly #path: string;
  /** The attempts that failed and were followed by another one, by number. */
  readonly #failed = new Map<number, Head>();
  /** The waits before attempts, by the number of the attempt. */
  readonly #waits = new Map<number, Head>();

  /** @param path of the node run */
  constructor(path: string) {
    this.#path = path;
  }

  add(head: Head): void {
    const [path, mark = "", wait] = head.path.split("#");
    const number = Number(mark);
    if (path !== this.#path || !(number >= 1)) {
      return;
    }
    if (wait === undefined) {
      this.#failed.set(number, head);
    } else if (wait === "wait") {
      this.#waits.set(number, head);
    }
  }

  /** All attempts, where there was more than one. Those that are under way are not among them. */
  of(run: NodeRun): readonly NodeAttempt[] {
    if (this.#failed.size === 0) {
      return [];
    }
    const isOver = run.state !== "RUNNING" && run.state !== "WAITING";
    const earlier = [...this.#failed].toSorted(([left], [right]) => left - right);
    const before = earlier.at(-1)?.[1].end_time ?? run.start_time;
    const wait = this.#waits.get(run.attempts);
    const last = { ...run, start_time: Math.min(wait?.end_time ?? before, run.end_time) };
    const all: readonly (readonly [number, Head])[] =
      isOver && !this.#failed.has(run.attempts) ? [...earlier, [run.attempts, last]] : earlier;
    return all.map(([number, { start_time, end_time, error }]) => ({
      ...{ number, start_time, end_time, error },
      ...(number > 1 && { delay_ms: this.#delayMs(number) }),
    }));
  }

  #delayMs(number: number): number {
    const wait = this.#waits.get(number);
    return wait === undefined ? 0 : wait.end_time - wait.start_time;
  }
}
