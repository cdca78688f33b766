import { FairQueue } from "../../domain/collections/fair-queue.ts";
import type { TaskOutcome } from "./child-process.ts";
import type { PoolTask } from "./pool-task.ts";
import type { TaskKind } from "./tasks.ts";

/** A task that waits for a child. */
export type Job = {
  readonly kind: TaskKind;
  readonly task: PoolTask<TaskKind>;
  readonly settle: (end: Promise<TaskOutcome>) => void;
};

/** The tasks that wait for a child of a pool. Paths take turns, level by level. */
export class TaskQueue {
  readonly #queue = new FairQueue<Job>();
  #isStopped = false;

  get isStopped(): boolean {
    return this.#isStopped;
  }

  get size(): number {
    return this.#queue.size;
  }

  /** The first parts of the paths of those that wait. */
  get tops(): MapIterator<string> {
    return this.#queue.tops;
  }

  /**
   * Queues a task, calls back, and answers how the task ended. Rejects with the signal's reason when that aborts while the task
   * waits, and where the queue is stopped.
   */
  async run(
    path: readonly string[],
    { kind, task }: Pick<Job, "kind" | "task">,
    onQueued: () => void,
  ): Promise<TaskOutcome> {
    const { signal } = task;
    signal.throwIfAborted();
    if (this.#isStopped) {
      throw poolStopped();
    }
    return await new Promise<TaskOutcome>((resolve, reject) => {
      const abort = () => {
        this.#queue.delete(path, job);
        reject(signal.reason);
      };
      const job: Job = {
        kind,
        task,
        settle: (end) => {
          end.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
        },
      };
      signal.addEventListener("abort", abort, { once: true });
      this.#queue.push(path, job);
      onQueued();
    });
  }

  /** The next job; the tops for which `isPassed` answers true are passed over. */
  shift(isPassed: (top: string) => boolean): Job | undefined {
    return this.#queue.shift(isPassed);
  }

  /** Rejects what waits, and what comes. */
  stop(): void {
    this.#isStopped = true;
    const stopped = Promise.reject(poolStopped());
    stopped.catch(() => undefined);
    for (const job of this.#queue.drain()) {
      job.settle(stopped);
    }
  }
}

function poolStopped(): Error {
  return new Error("the pool of child processes is stopped");
}
