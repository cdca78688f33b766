import type { Logger } from "pino";
import type { Service } from "../../domain/service.ts";
import type { DraftPlace } from "../../storage/executions/execution-retention.ts";
import type { ExecutionStore } from "../../storage/executions/execution-store.ts";
import { isTimedOut } from "../../storage/postgres/database-errors.ts";
import type { DayBytesStore } from "../../storage/tenants/daily-bytes-store.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import { Loop } from "../process/periodic-task.ts";

const everyMs = 60_000;

/** How many executions one statement deletes: few enough for its locks and its log not to be felt. */
const batchMax = 500;

export type JanitorOptions = {
  readonly executions: ExecutionStore;
  readonly workflows: WorkflowStore;
  readonly dayBytes: DayBytesStore;
  readonly retentionMs: number;
  readonly log: Logger;
};

/** How many executions, or kept drafts, a statement looks at, and how many statements a turn has, for what no sweep would ever find. */
const pageMax = 1_000;
const pagesMax = 20;

/** Deletes executions that ended long ago and drafts that were kept for them alone, and repairs what should not be, a few at a time. */
export class Janitor implements Service {
  readonly #options: JanitorOptions;
  readonly #loop: Loop;
  #isStopping = false;
  /** Where the next turn goes on to look. */
  #after = "";
  #afterDraft: DraftPlace | undefined;

  constructor(options: JanitorOptions) {
    this.#options = options;
    this.#loop = new Loop({ name: "janitor", everyMs, turn: () => this.#sweep(), log: options.log });
  }

  async start(): Promise<void> {
    await this.#loop.start();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#loop.stop();
  }

  async #sweep(): Promise<void> {
    const { executions, retentionMs, log } = this.#options;
    let all = 0;
    for (let limit = batchMax; !this.#isStopping; ) {
      try {
        const deleted = await executions.deleteEnded({ ms: retentionMs, limit });
        all += deleted;
        if (deleted < limit) break;
        limit = Math.min(batchMax, 2 * limit);
      } catch (error) {
        // The oldest have more recorded than can be deleted in time: whose they are, others' are behind them.
        if (!isTimedOut(error) || limit === 1) throw error;
        limit = Math.ceil(limit / 4);
      }
    }
    if (all > 0) log.info({ executions: all }, "executions that ended long ago are deleted");
    await this.#deleteDrafts();
    await this.#options.dayBytes.deletePast();
    await this.#repair();
  }

  async #deleteDrafts(): Promise<void> {
    const { workflows, log } = this.#options;
    let all = 0;
    for (let page = 0; page < pagesMax && !this.#isStopping; page += 1) {
      const { count, next } = await workflows.deleteKeptDrafts({ after: this.#afterDraft, limit: pageMax });
      all += count;
      this.#afterDraft = next;
      if (next === undefined) break;
    }
    if (all > 0) log.info({ drafts: all }, "drafts that were kept for tests are deleted");
  }

  /** No statement of ours leaves an execution without its claim, or the reverse; a restored backup may. */
  async #repair(): Promise<void> {
    const { executions, log } = this.#options;
    for (let page = 0; page < pagesMax && !this.#isStopping; page += 1) {
      const { next, queued, removed } = await executions.repair({ after: this.#after, limit: pageMax });
      if (queued.length > 0) log.warn({ executions: queued }, "unfinished executions that were lost are queued again");
      if (removed.length > 0) log.warn({ executions: removed }, "claims without an unfinished execution are removed");
      this.#after = next ?? "";
      if (next === undefined) break;
    }
  }
}
