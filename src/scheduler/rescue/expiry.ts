import type { Logger } from "pino";
import type { Limits } from "../../domain/limits.ts";
import type { ExecutionStore } from "../../storage/executions/execution-store.ts";

/** How many executions of a kind one statement ends. */
const batchMax = 64;

export type ExpiryOptions = {
  readonly executions: Pick<ExecutionStore, "expire">;
  readonly limits: Pick<Limits, "runMs" | "ageMs">;
  /** Told of executions that it ended, since they took too long. */
  readonly onExpired: (executionId: string) => void;
  readonly log: Logger;
};

/**
 * Ends what has run, or is, too long, by the database's clock and whoever has it: an owner that hangs would not look at
 * its own.
 */
export class Expiry {
  readonly #options: ExpiryOptions;
  #isMore = false;

  constructor(options: ExpiryOptions) {
    this.#options = options;
  }

  /** Whether there may be more than was ended last. It is gone on with at once: one organisation's puts off all others'. */
  get isMore(): boolean {
    return this.#isMore;
  }

  /** @param now what the database's clock should say, where that is known */
  async end(now: number | undefined): Promise<void> {
    const { executions, limits, onExpired, log } = this.#options;
    const { runMs, ageMs } = limits;
    const expired = await executions.expire({ runMs, ageMs, now, limit: batchMax });
    this.#isMore = expired.size >= batchMax;
    for (const [id, outcome] of expired) {
      log.warn({ execution: id, reason: outcome.error?.reason }, "an execution is ended that could not end by itself");
      onExpired(id);
    }
  }
}
