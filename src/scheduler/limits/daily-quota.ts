import type { Logger } from "pino";
import type { Clock } from "../../domain/clock.ts";
import type { NewExecution } from "../../domain/execution.ts";
import { newId } from "../../domain/id.ts";
import type { Limits } from "../../domain/limits.ts";
import type { RequestError } from "../../domain/request-error.ts";
import type { Service } from "../../domain/service.ts";
import type { DayBytesStore } from "../../storage/tenants/daily-bytes-store.ts";
import { PeriodicTask } from "../process/periodic-task.ts";
import { dailyQuotaUsed } from "./limit-errors.ts";

const everyMs = 1_000;
const dayMs = 24 * 60 * 60 * 1000;

/** An execution, of which the bytes of its payload count for its environment. */
type Counted = Pick<NewExecution, "environmentId" | "payload">;

/** The bytes that one environment has used today. */
type Usage = {
  here: number;
  /** By other processes, and by earlier days of this one, as of the last exchange. */
  elsewhere: number;
  /** Whether a call has asked for this environment since the last exchange. */
  isAsked: boolean;
};

type Day = {
  /** Days since 1970. */
  readonly number: number;
  /** Names the counter in the database. It is new each day, also where a clock that was set back begins a day again. */
  readonly owner: string;
  readonly usages: Map<string, Usage>;
};

export type DailyQuotaOptions = {
  readonly store: Pick<DayBytesStore, "exchange">;
  readonly limits: Pick<Limits, "environmentDayBytesMax">;
  /** Milliseconds since 1970, by the clock that all processes share. */
  readonly now: () => number;
  readonly clock: Clock;
  readonly log: Logger;
};

/**
 * Limits the bytes of payloads that an environment sends in one day of UTC, counted over all processes.
 *
 * A call costs no statement: each process counts for itself, and once a second the processes exchange their counts
 * through the database, for those environments that had a call. So the limit may be exceeded by what is accepted within
 * that second, and a process that dies loses that much of its count.
 */
export class DailyQuota implements Service {
  readonly #options: DailyQuotaOptions;
  readonly #max: number;
  readonly #task: PeriodicTask;
  #day: Day = { number: Number.NaN, owner: "", usages: new Map() };

  constructor(options: DailyQuotaOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#max = options.limits.environmentDayBytesMax;
    this.#task = new PeriodicTask({ name: "daily quota", everyMs, runOnce: () => this.#exchange(), clock, log });
  }

  async start(): Promise<void> {
    if (this.#max > 0) {
      await this.#task.start();
    }
  }

  /** Exchanges the last counts. */
  async stop(): Promise<void> {
    await this.#task.stop();
    try {
      await this.#exchange();
    } catch (error) {
      this.#options.log.warn({ err: error }, "the payloads of the last second are missing in the count of the day");
    }
  }

  /** Why a payload of this size is not accepted today; undefined where it is. */
  errorFor(execution: Counted): RequestError | undefined {
    if (this.#max === 0) {
      return undefined;
    }
    const now = this.#options.now();
    const usage = this.#usageOf(execution, now);
    if (usage.here + usage.elsewhere + bytesOf(execution) <= this.#max) {
      return undefined;
    }
    return dailyQuotaUsed(this.#max, Math.ceil((dayMs - (now % dayMs)) / 1000));
  }

  /** Counts an execution; answers what takes that back where it is not accepted. Throws RequestError where it is too much. */
  take(execution: Counted): () => void {
    const error = this.errorFor(execution);
    if (error !== undefined) {
      throw error;
    }
    if (this.#max === 0) {
      return () => undefined;
    }
    // Kept, since the day may be over when it turns out that nothing was accepted.
    const usage = this.#usageOf(execution, this.#options.now());
    const bytes = bytesOf(execution);
    usage.here += bytes;
    return () => {
      usage.here -= bytes;
      usage.isAsked = true;
    };
  }

  #usageOf({ environmentId }: Counted, now: number): Usage {
    const number = Math.floor(now / dayMs);
    if (number !== this.#day.number) {
      this.#day = { number, owner: newId(), usages: new Map() };
    }
    let usage = this.#day.usages.get(environmentId);
    if (usage === undefined) {
      usage = { here: 0, elsewhere: 0, isAsked: true };
      this.#day.usages.set(environmentId, usage);
    }
    usage.isAsked = true;
    return usage;
  }

  async #exchange(): Promise<void> {
    const { number, owner, usages } = this.#day;
    const asked = [...usages].filter(([, usage]) => usage.isAsked);
    if (asked.length === 0) {
      return;
    }
    for (const [, usage] of asked) {
      usage.isAsked = false;
    }
    try {
      const day = new Date(number * dayMs).toISOString().slice(0, 10);
      const bytes = new Map(asked.map(([id, { here }]) => [id, here]));
      const elsewhere = await this.#options.store.exchange({ owner, day, bytes });
      for (const [id, usage] of asked) {
        usage.elsewhere = elsewhere.get(id) ?? 0;
      }
    } catch (error) {
      for (const [, usage] of asked) {
        usage.isAsked = true;
      }
      throw error;
    }
  }
}

function bytesOf({ payload }: Counted): number {
  return Buffer.byteLength(payload);
}
