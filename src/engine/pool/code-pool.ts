// Child processes for scripts, which authors write in a general language: what a script could leave behind in its process
// must reach no other tenant.
//
// - A child serves one environment from its first script on, and is ended in the end, never handed on: when it was idle, has
//   run many scripts, has grown, had to stop one, or when another environment has no child and none is free.
// - One environment holds at most all children but one. A spare is kept warm while scripts are in use.
// - Environments take turns. The time that a script waits here does not count for its deadline.
// - Scripts are pure, so one whose child died is started again, at most twice.

import type { Limits } from "../../domain/limits.ts";
import { ChildProcess, type TaskOutcome } from "./child-process.ts";
import { compileCacheFolder } from "./compile-cache-folder.ts";
import { encodeFrame } from "./frame.ts";
import type { PoolTask } from "./pool-task.ts";
import { type Job, TaskQueue } from "./task-queue.ts";
import type { TaskKind } from "./tasks.ts";

/** A bound child is ended when it was idle for this long. */
const idleMs = 60_000;

/** The spare child is ended when no script came for this long. */
const spareIdleMs = 600_000;

/** To start a child takes as much CPU as a thousand scripts, of which none leaves anything to the next. */
const runsMax = 10_000;

/** A child that holds more memory than this after a script is ended. */
const rssBytesMax = 120 * 1024 ** 2;

/** A child stops a script by itself and says more than its death would, so it is killed only this much later. */
const graceMs = 250;

/** A child may run this long after its script was aborted. */
const abandonedMs = 100;

/** The delay before a new child is started where one died before it was ready. */
const respawnMs = 1_000;

/** How often a script is started whose child dies for an unknown reason. */
const startsMax = 3;

type CodeTask = PoolTask<TaskKind>;

type Member = {
  readonly child: ChildProcess;
  /** The environment that it serves; undefined for a spare. */
  environmentId: string | undefined;
  runs: number;
  isBusy: boolean;
  isEnding: boolean;
  timer: NodeJS.Timeout | undefined;
};

export class CodePool {
  readonly #limits: Limits;
  readonly #queue = new TaskQueue();
  /** The least recently used comes first. */
  readonly #members = new Set<Member>();
  #respawnTimer: NodeJS.Timeout | undefined;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  async stop(): Promise<void> {
    this.#queue.stop();
    clearTimeout(this.#respawnTimer);
    const gone = [...this.#members].map(({ child }) => child.gone);
    for (const member of this.#members) {
      end(member);
    }
    await Promise.all(gone);
  }

  /** Runs a script when its turn comes. Rejects with the signal's reason when that aborts first. */
  async run(task: CodeTask): Promise<TaskOutcome> {
    let outcome = await this.#runOnce(task);
    for (let starts = 1; outcome.kind === "lost" && starts < startsMax; starts += 1) {
      outcome = await this.#runOnce(task);
    }
    return outcome;
  }

  #runOnce(task: CodeTask): Promise<TaskOutcome> {
    return this.#queue.run([task.path[1]], { kind: "code", task }, () => this.#assignAll());
  }

  #assignAll(): void {
    for (;;) {
      const job = this.#queue.shift((environmentId) => this.#freeFor(environmentId) === undefined);
      const member = job && this.#freeFor(job.task.path[1]);
      if (job === undefined || member === undefined) {
        break;
      }
      this.#assign(member, job);
    }
    this.#grow();
  }

  /** A child that may serve the environment now: one of its own, or the spare if it does not hold too many. */
  #freeFor(environmentId: string): Member | undefined {
    const idle = [...this.#members].filter(({ isBusy, isEnding, child }) => !isBusy && !isEnding && child.isReady);
    const own = idle.findLast((member) => member.environmentId === environmentId);
    const mayTakeSpare = this.#heldBy(environmentId) < Math.max(1, this.#limits.codeChildren - 1);
    return own ?? (mayTakeSpare ? idle.find((member) => member.environmentId === undefined) : undefined);
  }

  #heldBy(environmentId: string): number {
    return [...this.#members].filter((member) => member.environmentId === environmentId && !member.isEnding).length;
  }

  #assign(member: Member, { task, settle }: Job): void {
    const { child } = member;
    const { request, path, signal, onBegin = () => undefined, timeoutMs = this.#limits.codeMs } = task;
    const abandon = () => child.setTimeLeft(abandonedMs);
    clearTimeout(member.timer);
    member.environmentId = path[1];
    member.runs += 1;
    member.isBusy = true;
    // The last of a Set is the one that was added last.
    this.#members.delete(member);
    this.#members.add(member);
    try {
      const { head, texts } = request();
      const frame = encodeFrame({ head: { ...head, task: "code" }, texts });
      const ended = child.run("code", frame, { ms: timeoutMs + graceMs, onBegin });
      signal.addEventListener("abort", abandon, { once: true });
      settle(ended);
      void ended.then((outcome) => {
        signal.removeEventListener("abort", abandon);
        this.#release(member, outcome);
      });
    } catch (error) {
      settle(Promise.reject(error));
      this.#release(member, undefined);
    }
  }

  #release(member: Member, outcome: TaskOutcome | undefined): void {
    member.isBusy = false;
    // `code-task.ts` wrote the head.
    const isWorn = outcome?.kind === "reply" && (outcome.head as { readonly isWorn?: boolean }).isWorn === true;
    const hasFailed = outcome !== undefined && outcome.kind !== "reply";
    const isSpent = member.runs >= runsMax || member.child.rssBytes > rssBytesMax;
    if (isWorn || hasFailed || isSpent || this.#isNeededElsewhere(member)) {
      end(member);
    } else {
      this.#endWhenIdle(member, idleMs);
    }
    this.#assignAll();
  }

  /** Whether an environment without any child waits, and none is free or coming. */
  #isNeededElsewhere({ environmentId }: Member): boolean {
    const isComing = [...this.#members].some((member) => member.isEnding || member.environmentId === undefined);
    return (
      !isComing && [...this.#queue.tops].some((waiting) => waiting !== environmentId && this.#heldBy(waiting) === 0)
    );
  }

  #endWhenIdle(member: Member, ms: number): void {
    member.timer = setTimeout(() => {
      end(member);
    }, ms).unref();
  }

  /** Starts a child where there should be a spare. Where there is no room, an idle child of another environment ends. */
  #grow(): void {
    const members = [...this.#members];
    const hasSpare = members.some(({ environmentId, isEnding }) => environmentId === undefined || isEnding);
    if (this.#queue.isStopped || this.#respawnTimer !== undefined || hasSpare) {
      return;
    }
    if (members.length < this.#limits.codeChildren) {
      this.#startChild();
      return;
    }
    if ([...this.#queue.tops].some((waiting) => this.#heldBy(waiting) === 0)) {
      const idle = members.find(({ isBusy }) => !isBusy);
      if (idle !== undefined) {
        end(idle);
      }
    }
  }

  #startChild(): void {
    let wasReady = false;
    const member: Member = {
      child: new ChildProcess({
        limits: this.#limits,
        cacheFolder: compileCacheFolder(),
        firstKind: "code",
        onReady: () => {
          wasReady = true;
          this.#endWhenIdle(member, spareIdleMs);
          this.#assignAll();
        },
        onGone: () => {
          this.#members.delete(member);
          clearTimeout(member.timer);
          if (!wasReady) {
            this.#respawnLater();
          } else if (this.#queue.size > 0 || this.#members.size > 0) {
            this.#grow();
          }
        },
      }),
      environmentId: undefined,
      runs: 0,
      isBusy: false,
      isEnding: false,
      timer: undefined,
    };
    this.#members.add(member);
  }

  /** Waits a moment, since a child that dies before it is ready would be restarted in an endless loop. */
  #respawnLater(): void {
    if (this.#queue.isStopped) {
      return;
    }
    this.#respawnTimer ??= setTimeout(() => {
      this.#respawnTimer = undefined;
      if (this.#queue.size > 0) {
        this.#grow();
      }
    }, respawnMs).unref();
  }
}

function end(member: Member): void {
  member.isEnding = true;
  clearTimeout(member.timer);
  member.child.kill();
}
