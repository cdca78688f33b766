import type { Logger } from "pino";
import type { Limits } from "../../domain/limits.ts";
import type { ExecutionStore } from "../../storage/executions/execution-store.ts";
import type { Expired } from "../../storage/executions/expire-executions.ts";

const batchMax = 64;

export type ExpiryOptions = {
  readonly executions: Pick<ExecutionStore, "expire">;
  readonly limits: Pick<Limits, "runMs" | "ageMs">;
  /** Called for each execution that this ended. */
  readonly onExpired: (executionId: string, expired: Expired) => void;
  readonly log: Logger;
};

/**
 * Ends executions that have run, or existed, for too long by the database's clock, whichever process owns them: an owner
 * that hangs would not notice its own.
 */
export class Expiry {
  readonly #options: ExpiryOptions;
  #hasMore = false;

  constructor(options: ExpiryOptions) {
    this.#options = options;
  }

  /** Whether the last batch was full. The next one should follow at once: many of one organisation must not delay others'. */
  get hasMore(): boolean {
    return this.#hasMore;
  }

  /** @param now an estimate of the database's clock, where there is one */
  async endBatch(now: number | undefined): Promise<void> {
    const { executions, limits, onExpired, log } = this.#options;
    const { runMs, ageMs } = limits;
    const expired = await executions.expire({ runMs, ageMs, now, limit: batchMax });
    this.#hasMore = expired.size >= batchMax;
    for (const [id, { outcome, ...family }] of expired) {
      log.warn(
        { executionId: id, reason: outcome.error?.reason },
        "an execution is ended that could not end by itself",
      );
      onExpired(id, { outcome, ...family });
    }
  }
}
