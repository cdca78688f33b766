import type { Logger } from "pino";
import type { Clock } from "../../domain/clock.ts";
import type { Service } from "../../domain/service.ts";
import type { ChildStore } from "../../storage/executions/children.ts";
import type { DraftPlace } from "../../storage/executions/execution-retention.ts";
import type { ExecutionStore } from "../../storage/executions/execution-store.ts";
import type { HistoryDays, IdRange } from "../../storage/executions/history-days.ts";
import type { SignalStore } from "../../storage/executions/signals.ts";
import { isTimedOut } from "../../storage/postgres/database-errors.ts";
import type { DayBytesStore } from "../../storage/tenants/daily-bytes-store.ts";
import type { DraftStore } from "../../storage/workflows/draft-store.ts";
import { PeriodicTask } from "../process/periodic-task.ts";

const everyMs = 60_000;

/** How many executions one statement deletes: few enough that its locks and its WAL disturb nobody. */
const batchMax = 500;

/** Bounds of the consistency repair, and of the search for unused drafts: rows per statement, statements per run. */
const pageMax = 1_000;
const pagesMax = 20;

export type JanitorOptions = {
  readonly executions: Pick<ExecutionStore, "deleteEnded" | "repair">;
  readonly signals: Pick<SignalStore, "clear">;
  readonly children: Pick<ChildStore, "mend" | "clear">;
  /** Called for each execution that is told of its child's end late. */
  readonly onMissed: (executionId: string) => void;
  readonly days: HistoryDays;
  readonly drafts: DraftStore;
  readonly dayBytes: DayBytesStore;
  readonly retentionMs: number;
  readonly clock: Clock;
  readonly log: Logger;
};

/**
 * Makes the partitions of the next days. Deletes what the retention no longer covers: days of executions as a whole, and in
 * small batches other executions, what was said to them, drafts that only their tests used, and counts of past days. Repairs
 * executions and claims that do not match.
 */
export class Janitor implements Service {
  readonly #options: JanitorOptions;
  readonly #task: PeriodicTask;
  #isStopping = false;
  /** The repair goes on behind this id in the next run. */
  #after = "";
  #afterDraft: DraftPlace | undefined;

  constructor(options: JanitorOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#task = new PeriodicTask({ name: "janitor", everyMs, runOnce: () => this.#runOnce(), clock, log });
  }

  async start(): Promise<void> {
    await this.#task.start();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#task.stop();
  }

  async #runOnce(): Promise<void> {
    await this.#makeDays();
    await this.#dropDays();
    for (const range of await this.#options.days.listOutside()) {
      await this.#deleteExecutions(range);
    }
    await this.#clearSignals();
    await this.#mendChildren();
    await this.#deleteDrafts();
    await this.#options.dayBytes.deletePast();
    await this.#repair();
  }

  async #makeDays(): Promise<void> {
    const { days, log } = this.#options;
    const partitions = await days.make();
    if (partitions.length > 0) {
      log.info({ partitions }, "partitions of the next days are made");
    }
  }

  /** A day that something is still needed of stays, and the rest of it is deleted. */
  async #dropDays(): Promise<void> {
    const { days, retentionMs: ms, log } = this.#options;
    for (const day of await days.listOld(ms)) {
      if (this.#isStopping) {
        return;
      }
      if (await days.isNeeded({ ...day, ms })) {
        await this.#deleteExecutions(day);
      } else if (await days.drop(day)) {
        log.info({ day: day.name }, "a day of executions that ended long ago is dropped");
      }
    }
  }

  async #deleteExecutions(range: IdRange): Promise<void> {
    const { executions, retentionMs, log } = this.#options;
    let all = 0;
    for (let limit = batchMax; !this.#isStopping; ) {
      try {
        const deleted = await executions.deleteEnded({ ms: retentionMs, limit, range });
        all += deleted;
        if (deleted < limit) {
          break;
        }
        limit = Math.min(batchMax, 2 * limit);
      } catch (error) {
        // The oldest executions have too many records for one statement, and all others wait behind them.
        if (!isTimedOut(error) || limit === 1) {
          throw error;
        }
        limit = Math.ceil(limit / 4);
      }
    }
    if (all > 0) {
      log.info({ executions: all }, "executions that ended long ago are deleted");
    }
  }

  async #clearSignals(): Promise<void> {
    for (let page = 0; page < pagesMax && !this.#isStopping; page += 1) {
      if ((await this.#options.signals.clear({ limit: pageMax })) < pageMax) {
        return;
      }
    }
  }

  /** No statement of ours ends a child and does not tell its parent. A process of an earlier version does. */
  async #mendChildren(): Promise<void> {
    const { children, onMissed, retentionMs: ms, log } = this.#options;
    const parents = await children.mend({ limit: pageMax });
    for (const parentId of parents) {
      log.warn({ executionId: parentId }, "an execution that was not told of its child's end goes on");
      onMissed(parentId);
    }
    await children.clear({ ms, limit: pageMax });
  }

  async #deleteDrafts(): Promise<void> {
    const { drafts, log } = this.#options;
    let all = 0;
    for (let page = 0; page < pagesMax && !this.#isStopping; page += 1) {
      const { count, next } = await drafts.deleteKept({ after: this.#afterDraft, limit: pageMax });
      all += count;
      this.#afterDraft = next;
      if (next === undefined) {
        break;
      }
    }
    if (all > 0) {
      log.info({ drafts: all }, "drafts that were kept for tests are deleted");
    }
  }

  /** No statement of ours separates an execution from its claim. A backup that was restored may have done so. */
  async #repair(): Promise<void> {
    const { executions, log } = this.#options;
    for (let page = 0; page < pagesMax && !this.#isStopping; page += 1) {
      const page = { after: this.#after, limit: pageMax };
      const { next, queued, removed, dangling, unboundKeys } = await executions.repair(page);
      if (queued.length > 0) {
        log.warn({ executions: queued }, "unfinished executions that were lost are queued again");
      }
      if (removed.length > 0) {
        log.warn({ executions: removed }, "claims without an unfinished execution are removed");
      }
      if (dangling.length > 0) {
        log.error({ executions: dangling }, "executions name a version or an account that does not exist");
      }
      if (unboundKeys > 0) {
        log.warn({ keys: unboundKeys }, "idempotency keys without an execution are deleted");
      }
      this.#after = next ?? "";
      if (next === undefined) {
        break;
      }
    }
  }
}
