// A pool of child processes for work that has no bound on the service's thread: queries, large Rules, and checks of payloads
// and definitions.
//
// - A child has a deadline for each task and a memory limit. What ends a child costs its own task alone, and never blocks the
//   thread that renews the lease.
// - Tasks wait in a fair queue: organisations, and within one its environments, take turns (round-robin). An organisation
//   with slow tasks leaves one child free for the others.
// - The time that a task waits here does not count for its deadline.
// - Tasks are pure, so one whose child died is started once more.

import type { Limits } from "../../domain/limits.ts";
import type { Service } from "../../domain/service.ts";
import { CheckAdmission } from "./check-admission.ts";
import { ChildProcess, type TaskOutcome } from "./child-process.ts";
import { CodePool } from "./code-pool.ts";
import { compileCacheFolder } from "./compile-cache-folder.ts";
import { FairShares } from "./fair-shares.ts";
import { encodeFrame } from "./frame.ts";
import type { PoolTask } from "./pool-task.ts";
import { type Job, TaskQueue } from "./task-queue.ts";
import type { TaskKind, TaskReply } from "./tasks.ts";

/** An idle child is ended after this time, except for the few that stay. */
const idleMs = 30_000;

/** An idle child that holds more memory than this is replaced. */
const idleRssBytesMax = 80 * 1024 ** 2;

/** A child checks its deadline by itself and reports more than its death would, so it is killed only this much later. */
const graceMs = 250;

/** A child may run this long after its task was aborted. To start a new child takes longer. */
const abandonedMs = 100;

/** The delay before a new child is started where one died before it was ready. */
const respawnMs = 1_000;

/** How a task ended. A bug of ours rejects instead. */
export type TaskEnd<Kind extends TaskKind> =
  | ({ readonly kind: "reply" } & TaskReply<Kind>)
  | { readonly kind: "overdue" }
  | { readonly kind: "out_of_memory" }
  | { readonly kind: "lost" };

export class ProcessPool implements Service {
  readonly #limits: Limits;
  readonly #queue = new TaskQueue();
  readonly #shares: FairShares;
  readonly #admission: CheckAdmission;
  readonly #code: CodePool;
  readonly #children = new Set<ChildProcess>();
  readonly #idle = new Map<ChildProcess, NodeJS.Timeout>();
  #respawnTimer: NodeJS.Timeout | undefined;

  constructor(limits: Limits) {
    this.#limits = limits;
    this.#shares = new FairShares(limits.poolChildren);
    this.#code = new CodePool(limits);
    this.#admission = new CheckAdmission(limits.poolQueueMax);
  }

  /** Starts the children that stay, so that the first task finds one. Does not wait for them. */
  async start(): Promise<void> {
    this.#grow(this.#limits.poolKept);
  }

  async stop(): Promise<void> {
    this.#queue.stop();
    clearTimeout(this.#respawnTimer);
    for (const timer of this.#idle.values()) {
      clearTimeout(timer);
    }
    this.#idle.clear();
    const gone = [...this.#children].map((child) => child.gone);
    for (const child of this.#children) {
      child.kill();
    }
    await Promise.all([...gone, this.#code.stop()]);
  }

  /**
   * Runs a task in a child when its turn comes. A task whose child died for an unknown reason is started once more. Rejects
   * with the signal's reason when that aborts first, and with a RequestError where too many tasks wait.
   */
  async run<Kind extends TaskKind>(kind: Kind, task: PoolTask<Kind>): Promise<TaskEnd<Kind>> {
    const last = await (kind === "code" ? this.#code.run(task) : this.#runTwice(kind, task));
    if (last.kind === "fault") {
      throw new Error(`a child process failed: ${last.stack}`);
    }
    // A child answers with the reply of the kind that it was asked for.
    return last as TaskEnd<Kind>;
  }

  async #runTwice(kind: TaskKind, task: PoolTask<TaskKind>): Promise<TaskOutcome> {
    const end = await this.#runOnce(kind, task);
    return end.kind === "lost" ? await this.#runOnce(kind, task) : end;
  }

  #runOnce(kind: TaskKind, task: PoolTask<TaskKind>): Promise<TaskOutcome> {
    const { path, signal, isRefusable } = task;
    signal.throwIfAborted();
    const leave = isRefusable ? this.#admission.enter(path[1]) : undefined;
    return this.#queue.run(path, { kind, task }, () => this.#assignAll()).finally(leave);
  }

  /** Assigns waiting tasks to idle children, and starts more children where there are too few. */
  #assignAll(): void {
    while (this.#idle.size > 0) {
      const job = this.#queue.shift((organizationId) => !this.#shares.mayTake(organizationId));
      if (job === undefined) {
        break;
      }
      // The child that was used last has the warmest caches.
      const child = [...this.#idle.keys()].at(-1);
      if (child === undefined) {
        break;
      }
      clearTimeout(this.#idle.get(child));
      this.#idle.delete(child);
      this.#assign(child, job);
    }
    if (this.#queue.size > 0) {
      this.#grow(this.#queue.size - this.#startingCount);
    }
  }

  #assign(child: ChildProcess, { kind, task, settle }: Job): void {
    const { request, path, signal, onBegin = () => undefined } = task;
    const release = this.#shares.take(path[0]);
    const abandon = () => child.setTimeLeft(abandonedMs);
    try {
      const { head, texts } = request();
      const ms = this.#limits.queryMs + graceMs;
      const end = child.run(kind, encodeFrame({ head: { ...head, task: kind }, texts }), { ms, onBegin });
      signal.addEventListener("abort", abandon, { once: true });
      settle(end);
      void end.finally(() => {
        signal.removeEventListener("abort", abandon);
        release();
        if (child.isReady) {
          this.#makeIdle(child);
        }
        this.#assignAll();
      });
    } catch (error) {
      release();
      settle(Promise.reject(error));
      this.#makeIdle(child);
    }
  }

  get #startingCount(): number {
    return [...this.#children].filter((child) => !child.isReady).length;
  }

  #grow(count: number): void {
    if (this.#queue.isStopped || this.#respawnTimer !== undefined) {
      return;
    }
    const free = this.#limits.poolChildren - this.#children.size;
    for (let left = Math.min(count, free); left > 0; left -= 1) {
      this.#startChild();
    }
  }

  #startChild(): void {
    let wasReady = false;
    const child: ChildProcess = new ChildProcess({
      limits: this.#limits,
      cacheFolder: compileCacheFolder(),
      firstKind: "query",
      onReady: () => {
        wasReady = true;
        this.#makeIdle(child);
        this.#assignAll();
      },
      onGone: () => {
        this.#children.delete(child);
        clearTimeout(this.#idle.get(child));
        this.#idle.delete(child);
        if (wasReady) {
          this.#replace();
        } else {
          this.#replaceLater();
        }
      },
    });
    this.#children.add(child);
  }

  #replace(): void {
    this.#grow(Math.max(this.#queue.size - this.#startingCount, this.#limits.poolKept - this.#children.size));
  }

  /** Waits a moment, since a child that dies before it is ready would be restarted in an endless loop. */
  #replaceLater(): void {
    if (this.#queue.isStopped) {
      return;
    }
    this.#respawnTimer ??= setTimeout(() => {
      this.#respawnTimer = undefined;
      this.#replace();
    }, respawnMs).unref();
  }

  /** Notes that a child is idle. It is ended after a while, unless it is small and one of the few that stay. */
  #makeIdle(child: ChildProcess): void {
    if (this.#queue.isStopped) {
      return;
    }
    const timer = setTimeout(() => {
      if (this.#children.size > this.#limits.poolKept || child.rssBytes > idleRssBytesMax) {
        child.kill();
      }
    }, idleMs).unref();
    this.#idle.set(child, timer);
  }
}
