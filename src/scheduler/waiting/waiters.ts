import type { Logger } from "pino";
import type { Clock } from "../../domain/clock.ts";
import type { Outcome } from "../../domain/execution.ts";
import { FairQueue } from "../../domain/fair-queue.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import type { Service } from "../../domain/service.ts";
import type { UnreadEnd } from "../../storage/executions/execution-results.ts";
import type { ExecutionStore } from "../../storage/executions/execution-store.ts";
import { Loop } from "../process/periodic-task.ts";
import type { Runs } from "../run/active-runs.ts";

/** How often the rows are read again: the net under the word of whoever ends an execution. */
const rereadMs = 1_000;

/** How many rows one statement reads. */
const batchMax = 1_000;

export type WaitersOptions = {
  readonly executions: ExecutionStore;
  /** What this process runs may be ended by another. */
  readonly runs: Pick<Runs, "has" | "ids" | "endWith">;
  readonly clock: Clock;
  readonly log: Logger;
};

/**
 * Those who wait for the end of executions, callers and runs. One that ends here is told at once; those that end
 * elsewhere are found by reading their rows again: of some when there is a hint, and of all, in one statement however
 * many wait, from time to time. Large results are read some at a time, of each environment in turn, and what ends
 * meanwhile is looked at in between.
 */
export class Waiters implements Service {
  readonly #options: WaitersOptions;
  readonly #waiting = new Map<string, Set<(outcome: Outcome | undefined) => void>>();
  readonly #heard = new Set<string>();
  /** Those that have ended with results which are still to be read. */
  readonly #unread = new FairQueue<UnreadEnd>();
  readonly #unreadIds = new Set<string>();
  #rereadTime = Number.NEGATIVE_INFINITY;
  #isStopped = false;
  readonly #loop: Loop;

  constructor(options: WaitersOptions) {
    this.#options = options;
    this.#loop = new Loop({ name: "waiters", everyMs: rereadMs, turn: () => this.#reread(), log: options.log });
  }

  async start(): Promise<void> {
    await this.#loop.start();
  }

  /** Sends all away who wait. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const all of this.#waiting.values()) for (const settle of all) settle(undefined);
    await this.#loop.stop();
  }

  /** Tells those who wait for an execution that it has ended. */
  settle(executionId: string, outcome: Outcome): void {
    const all = this.#waiting.get(executionId) ?? [];
    // At once, and not when they have heard of it: what is told already is not read again.
    this.#waiting.delete(executionId);
    for (const settle of all) settle(outcome);
  }

  /** Waits for the end of an execution; undefined when `ms` are over, or the signal aborts, first. */
  async wait(executionId: string, ms: number, signal: AbortSignal): Promise<Outcome | undefined> {
    if (signal.aborted || this.#isStopped) return undefined;
    const patience = new AbortController();
    const told = Promise.withResolvers<Outcome | undefined>();
    const giveUp = () => told.resolve(undefined);
    const all = this.#waiting.get(executionId) ?? new Set();
    this.#waiting.set(executionId, all.add(told.resolve));
    signal.addEventListener("abort", giveUp, { once: true });
    void this.#options.clock.wait(ms, patience.signal).then(giveUp, giveUp);
    try {
      return await told.promise;
    } finally {
      patience.abort(noLongerNeeded);
      signal.removeEventListener("abort", giveUp);
      all.delete(told.resolve);
      if (all.size === 0 && this.#waiting.get(executionId) === all) this.#waiting.delete(executionId);
    }
  }

  /** Looks at executions that may have ended; at all of them where it is not said which. */
  heed(ids: readonly string[] | undefined): void {
    if (ids === undefined) this.#rereadTime = Number.NEGATIVE_INFINITY;
    const awaited = ids?.filter((id) => this.#waiting.has(id) || this.#options.runs.has(id)) ?? [];
    for (const id of awaited) this.#heard.add(id);
    if (ids === undefined || awaited.length > 0) this.#loop.wake();
  }

  async #reread(): Promise<void> {
    const { executions, runs } = this.#options;
    const isAll = performance.now() - this.#rereadTime >= 0.9 * rereadMs;
    if (isAll) this.#rereadTime = performance.now();
    const ids = [...new Set(isAll ? [...this.#waiting.keys(), ...runs.ids] : this.#heard)].filter(
      (id) => !this.#unreadIds.has(id),
    );
    this.#heard.clear();
    for (let start = 0; start < ids.length; start += batchMax) {
      const { outcomes, unread } = await executions.listEnded(ids.slice(start, start + batchMax));
      this.#tell(outcomes);
      for (const end of unread) {
        this.#unreadIds.add(end.id);
        this.#unread.push([end.environmentId], end);
      }
    }
    // What this does not read, since it fails, is found again.
    this.#tell(await executions.readEnded(() => this.#nextUnread()));
    if (this.#unread.size > 0) this.#loop.wake();
  }

  /** The next that somebody still waits for. */
  #nextUnread(): UnreadEnd | undefined {
    for (let end = this.#unread.shift(); end !== undefined; end = this.#unread.shift()) {
      this.#unreadIds.delete(end.id);
      if (this.#waiting.has(end.id) || this.#options.runs.has(end.id)) return end;
    }
    return undefined;
  }

  #tell(outcomes: ReadonlyMap<string, Outcome>): void {
    for (const [id, outcome] of outcomes) {
      this.#options.runs.endWith(id, outcome);
      this.settle(id, outcome);
    }
  }
}
