// Where the work of authors and callers is done that cannot be bounded in line: in child processes.
//
// Queries, and checks of payloads and definitions, may take any time and any memory. A child has one deadline for each
// task and a limit of memory, and what ends it costs its own task alone: the thread that holds leases never waits for
// either. Children are taken by organisations and environments by turns, and what a task waits here is not its own time.

import { FairQueue } from "../../domain/fair-queue.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Service } from "../../domain/service.ts";
import { Checks } from "./check-admission.ts";
import { Child, type ChildEnd } from "./child-process.ts";
import { cacheFolder } from "./compile-cache-folder.ts";
import { Shares } from "./fair-shares.ts";
import { encodeFrame } from "./frame.ts";
import type { TaskKind, TaskReply, TaskRequest } from "./tasks.ts";

/** How long a child is kept that has nothing to do, beside the few that are kept for longer. */
const idleMs = 30_000;

/** An idle child that holds more memory than this is ended, and a new one begun. */
const idleRssBytesMax = 80 * 1024 ** 2;

/** A child looks at its deadline by itself, and says more than its death does. */
const graceMs = 250;

/** How long a child may go on with what nobody waits for. To begin a new one takes longer. */
const abandonedMs = 100;

/** The delay before another child is begun where one ended before it was ready. */
const respawnMs = 1_000;

/** What is asked of a child. */
export type PoolTask<Kind extends TaskKind> = {
  /** Made when a child is free for it. */
  readonly request: () => TaskRequest<Kind>;
  /** Whose turn it is: `[organizationId, environmentId]`. */
  readonly path: readonly [string, string];
  /** Aborts when nobody waits for it any more. */
  readonly signal: AbortSignal;
  /** Told when a child begins with it. */
  readonly onBegin?: () => void;
  /** Whether it is refused where too many wait. A run has a slot, and waits. */
  readonly isRefusable?: boolean;
};

/** How a task ended: a fault of ours rejects. */
export type TaskEnd<Kind extends TaskKind> =
  | ({ readonly kind: "reply" } & TaskReply<Kind>)
  | { readonly kind: "overdue" }
  | { readonly kind: "out_of_memory" }
  | { readonly kind: "lost" };

type Job = {
  readonly kind: TaskKind;
  readonly task: PoolTask<TaskKind>;
  readonly settle: (end: Promise<ChildEnd>) => void;
};

export class ProcessPool implements Service {
  readonly #limits: Limits;
  readonly #queue = new FairQueue<Job>();
  readonly #shares: Shares;
  readonly #checks: Checks;
  readonly #children = new Set<Child>();
  readonly #idle = new Map<Child, NodeJS.Timeout>();
  #respawnTimer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(limits: Limits) {
    this.#limits = limits;
    this.#shares = new Shares(limits.poolChildren);
    this.#checks = new Checks(limits.poolQueueMax);
  }

  /** Begins the children that are kept, so that the first task finds one. Does not wait for them. */
  async start(): Promise<void> {
    this.#grow(this.#limits.poolKept);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#respawnTimer);
    const stopped = Promise.reject(new Error("the pool of child processes is stopped"));
    stopped.catch(() => undefined);
    for (const job of this.#queue.drain()) job.settle(stopped);
    for (const timer of this.#idle.values()) clearTimeout(timer);
    this.#idle.clear();
    const gone = [...this.#children].map((child) => child.gone);
    for (const child of this.#children) child.kill();
    await Promise.all(gone);
  }

  /**
   * Does a task in a child, when it is its turn. A task whose child was lost for no reason of its own is begun once more:
   * tasks are pure. Rejects with the signal's reason when that aborts first, and with a RequestError where too many wait.
   */
  async run<Kind extends TaskKind>(kind: Kind, task: PoolTask<Kind>): Promise<TaskEnd<Kind>> {
    const end = await this.#runOnce(kind, task);
    const last = end.kind === "lost" ? await this.#runOnce(kind, task) : end;
    if (last.kind === "fault") throw new Error(`a child process failed: ${last.stack}`);
    // What a child answers to a kind of task is of that kind.
    return last as TaskEnd<Kind>;
  }

  #runOnce(kind: TaskKind, task: PoolTask<TaskKind>): Promise<ChildEnd> {
    const { path, signal, isRefusable } = task;
    signal.throwIfAborted();
    if (this.#isStopped) throw new Error("the pool of child processes is stopped");
    const leave = isRefusable ? this.#checks.enter(path[1]) : undefined;
    return new Promise<ChildEnd>((resolve, reject) => {
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
      this.#serve();
    }).finally(leave);
  }

  /** Gives what waits to the children that are free, and begins others where there are too few. */
  #serve(): void {
    while (this.#idle.size > 0) {
      const job = this.#queue.shift((organizationId) => !this.#shares.mayTake(organizationId));
      if (job === undefined) break;
      // The one that was used last is warm.
      const child = [...this.#idle.keys()].at(-1);
      if (child === undefined) break;
      clearTimeout(this.#idle.get(child));
      this.#idle.delete(child);
      this.#give(child, job);
    }
    if (this.#queue.size > 0) this.#grow(this.#queue.size - this.#startingCount);
  }

  #give(child: Child, { kind, task, settle }: Job): void {
    const { request, path, signal, onBegin = () => undefined } = task;
    const release = this.#shares.take(path[0]);
    const abandon = () => child.hurry(abandonedMs);
    try {
      const { head, texts } = request();
      const ms = this.#limits.queryMs + graceMs;
      const end = child.run(kind, encodeFrame({ head: { ...head, task: kind }, texts }), { ms, onBegin });
      signal.addEventListener("abort", abandon, { once: true });
      settle(end);
      void end.finally(() => {
        signal.removeEventListener("abort", abandon);
        release();
        if (child.isReady) this.#rest(child);
        this.#serve();
      });
    } catch (error) {
      release();
      settle(Promise.reject(error));
      this.#rest(child);
    }
  }

  get #startingCount(): number {
    return [...this.#children].filter((child) => !child.isReady).length;
  }

  #grow(count: number): void {
    if (this.#isStopped || this.#respawnTimer !== undefined) return;
    const free = this.#limits.poolChildren - this.#children.size;
    for (let left = Math.min(count, free); left > 0; left -= 1) this.#begin();
  }

  #begin(): void {
    let wasReady = false;
    const child: Child = new Child({
      limits: this.#limits,
      cacheFolder: cacheFolder(),
      onReady: () => {
        wasReady = true;
        this.#rest(child);
        this.#serve();
      },
      onGone: () => {
        this.#children.delete(child);
        clearTimeout(this.#idle.get(child));
        this.#idle.delete(child);
        if (wasReady) this.#replace();
        else this.#replaceLater();
      },
    });
    this.#children.add(child);
  }

  #replace(): void {
    this.#grow(Math.max(this.#queue.size - this.#startingCount, this.#limits.poolKept - this.#children.size));
  }

  /** What ends before it is ready would be begun again and again. */
  #replaceLater(): void {
    if (this.#isStopped) return;
    this.#respawnTimer ??= setTimeout(() => {
      this.#respawnTimer = undefined;
      this.#replace();
    }, respawnMs).unref();
  }

  /** A child has nothing to do. After a while it is ended, unless it is one of the few that stay, and small. */
  #rest(child: Child): void {
    if (this.#isStopped) return;
    const timer = setTimeout(() => {
      if (this.#children.size > this.#limits.poolKept || child.rssBytes > idleRssBytesMax) child.kill();
    }, idleMs).unref();
    this.#idle.set(child, timer);
  }
}
