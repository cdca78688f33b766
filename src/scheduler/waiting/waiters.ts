import type { Logger } from "pino";
import type { Clock } from "../../domain/clock.ts";
import { FairQueue } from "../../domain/collections/fair-queue.ts";
import { valueWithin } from "../../domain/deadline.ts";
import type { Outcome } from "../../domain/execution.ts";
import type { Service } from "../../domain/service.ts";
import type { UnreadEnd } from "../../storage/executions/execution-results.ts";
import { PeriodicTask } from "../process/periodic-task.ts";
import type { ActiveRuns } from "../run/active-runs.ts";
import type { ExecutionRecords } from "../run/execution-log.ts";
import type { RunEnd } from "../run/run-state.ts";
import type { SchedulerEvents } from "../run/scheduler-events.ts";

/** How often all rows are read again. A notification is only a hint and may get lost. */
const rereadMs = 1_000;

/** How many rows one statement reads. */
const batchMax = 1_000;

export type WaitersOptions = {
  readonly executions: Pick<ExecutionRecords, "listEnded" | "readEnded">;
  /** Another process may end what this one runs, for example by StopExecution. */
  readonly runs: Pick<ActiveRuns, "has" | "ids" | "supersede">;
  readonly events: Pick<SchedulerEvents, "on">;
  readonly clock: Clock;
  readonly log: Logger;
};

/**
 * Waits for the end of executions that the caller does not run itself: those of other processes, queued and sleeping
 * ones. (A caller that has started a run here awaits that run.)
 *
 * The rows are read again: some upon a notification, and all of them once a second in one statement, however many wait.
 * Large results are read in bounded parts, round-robin over environments.
 */
export class Waiters implements Service {
  readonly #options: WaitersOptions;
  readonly #waiting = new Map<string, Set<(outcome: Outcome | undefined) => void>>();
  /** Executions that may have ended, according to a notification. */
  readonly #notified = new Set<string>();
  /** Executions that have ended, with results that are still to be read. */
  readonly #unread = new FairQueue<UnreadEnd>();
  readonly #unreadIds = new Set<string>();
  #rereadTime = Number.NEGATIVE_INFINITY;
  #isStopped = false;
  readonly #task: PeriodicTask;

  constructor(options: WaitersOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#task = new PeriodicTask({ name: "waiters", everyMs: rereadMs, runOnce: () => this.#reread(), clock, log });
  }

  async start(): Promise<void> {
    const { events } = this.#options;
    events.on("ended", ({ executionId, outcome }) => {
      if (outcome === undefined) {
        this.check([executionId]);
      } else {
        this.#settle(executionId, outcome);
      }
    });
    events.on("endedElsewhere", (ids) => this.check(ids));
    await this.#task.start();
  }

  /** Settles all waits without an outcome. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const all of this.#waiting.values()) {
      for (const settle of all) {
        settle(undefined);
      }
    }
    await this.#task.stop();
  }

  /** Waits for the end of an execution; undefined where `ms` are over, or the signal aborts, first. */
  async wait(executionId: string, ms: number, signal: AbortSignal): Promise<Outcome | undefined> {
    if (signal.aborted || this.#isStopped) {
      return undefined;
    }
    const ended = Promise.withResolvers<Outcome | undefined>();
    const all = this.#waiting.get(executionId) ?? new Set();
    this.#waiting.set(executionId, all.add(ended.resolve));
    try {
      return await valueWithin(ms, ended.promise, { signal, clock: this.#options.clock });
    } finally {
      all.delete(ended.resolve);
      if (all.size === 0 && this.#waiting.get(executionId) === all) {
        this.#waiting.delete(executionId);
      }
    }
  }

  /** How an execution ended whose run here has ended. One that goes on elsewhere is waited for until the deadline, a monotonic time. */
  async outcomeOf(
    executionId: string,
    end: RunEnd,
    { deadline, signal }: { readonly deadline: number; readonly signal: AbortSignal },
  ): Promise<Outcome | undefined> {
    if ("outcome" in end && end.outcome !== undefined) {
      return end.outcome;
    }
    const ended = this.wait(executionId, Math.max(0, deadline - this.#options.clock.monotonic()), signal);
    // Whoever took it over may have ended it before this began to wait.
    if (end.kind !== "ASLEEP") {
      this.check([executionId]);
    }
    return await ended;
  }

  /** Reads the rows of executions that may have ended; all rows where it is not said which. */
  check(ids: readonly string[] | undefined): void {
    if (ids === undefined) {
      this.#rereadTime = Number.NEGATIVE_INFINITY;
    }
    const awaited = ids?.filter((id) => this.#isAwaited(id)) ?? [];
    for (const id of awaited) {
      this.#notified.add(id);
    }
    if (ids === undefined || awaited.length > 0) {
      this.#task.wake();
    }
  }

  #isAwaited(executionId: string): boolean {
    return this.#waiting.has(executionId) || this.#options.runs.has(executionId);
  }

  #settle(executionId: string, outcome: Outcome): void {
    const all = this.#waiting.get(executionId) ?? [];
    // At once, so that no row is read for waits that have been settled and not yet been resumed.
    this.#waiting.delete(executionId);
    for (const settle of all) {
      settle(outcome);
    }
  }

  async #reread(): Promise<void> {
    const { executions, runs, clock } = this.#options;
    const isAll = clock.monotonic() - this.#rereadTime >= 0.9 * rereadMs;
    if (isAll) {
      this.#rereadTime = clock.monotonic();
    }
    const ids = [...new Set(isAll ? [...this.#waiting.keys(), ...runs.ids] : this.#notified)].filter(
      (id) => !this.#unreadIds.has(id),
    );
    this.#notified.clear();
    for (let start = 0; start < ids.length; start += batchMax) {
      const { outcomes, unread } = await executions.listEnded(ids.slice(start, start + batchMax));
      this.#settleAll(outcomes);
      for (const end of unread) {
        this.#unreadIds.add(end.id);
        this.#unread.push([end.environmentId], end);
      }
    }
    // Ends that this fails to read are found again.
    this.#settleAll(await executions.readEnded(() => this.#nextUnread()));
    if (this.#unread.size > 0) {
      this.#task.wake();
    }
  }

  /** The next end that somebody still waits for. */
  #nextUnread(): UnreadEnd | undefined {
    for (let end = this.#unread.shift(); end !== undefined; end = this.#unread.shift()) {
      this.#unreadIds.delete(end.id);
      if (this.#isAwaited(end.id)) {
        return end;
      }
    }
    return undefined;
  }

  #settleAll(outcomes: ReadonlyMap<string, Outcome>): void {
    for (const [id, outcome] of outcomes) {
      this.#options.runs.supersede(id, outcome);
      this.#settle(id, outcome);
    }
  }
}
