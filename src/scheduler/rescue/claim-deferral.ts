import type { Logger } from "pino";
import type { ClaimStore } from "../../storage/claims/claim-store.ts";
import type { Claim } from "../../storage/executions/execution-claim.ts";
import { isTimedOut } from "../../storage/postgres/database-errors.ts";
import type { MissingKeyError } from "../encryption/sealing.ts";

/** How long an execution is deferred for which there is no memory, or no key: at least so long, and up to twice that. */
const noMemoryMs = 2_000;
const missingKeyMs = 120_000;

export type ClaimDeferralOptions = {
  readonly claims: Pick<ClaimStore, "defer" | "backOff">;
  readonly isUnavailable: (error: unknown) => boolean;
  readonly log: Logger;
};

/** Gives back the claims of executions that this process could not go on with, each with a delay. */
export class ClaimDeferral {
  readonly #options: ClaimDeferralOptions;
  #failed: Claim[] = [];
  #isMissingKeyLogged = false;

  constructor(options: ClaimDeferralOptions) {
    this.#options = options;
  }

  /** How many claims are to be given back at the next flush. */
  get count(): number {
    return this.#failed.length;
  }

  /** Notes an execution that failed here. The next flush gives it back, with a delay that grows each time. */
  backOff(claim: Claim, error: unknown): void {
    const { isUnavailable, log } = this.#options;
    // Where the database is away, the execution did nothing wrong: it becomes an orphan. After a statement timeout its
    // records may be too large to read, while the database still answers the statement that backs off.
    if (isUnavailable(error) && !isTimedOut(error)) {
      return;
    }
    log.error({ executionId: claim.executionId, err: error }, "an execution could not be gone on with, and backs off");
    this.#failed.push(claim);
  }

  async flush(): Promise<void> {
    for (const claim of this.#failed) {
      await this.#options.claims.backOff(claim);
    }
    this.#failed = [];
  }

  /** Defers an execution for which there is no memory. */
  async deferForMemory(claim: Claim): Promise<void> {
    await this.#defer(claim, noMemoryMs);
  }

  /** Defers an execution whose key is missing, again and again until the key is there. This is logged once, not for each execution. */
  async deferWithoutKey(claim: Claim, error: MissingKeyError): Promise<void> {
    if (!this.#isMissingKeyLogged) {
      this.#options.log.error(
        { executionId: claim.executionId, err: error },
        "executions need an encryption key that is not there, and are deferred until it is",
      );
    }
    this.#isMissingKeyLogged = true;
    await this.#defer(claim, missingKeyMs);
  }

  async #defer(claim: Claim, ms: number): Promise<void> {
    await this.#options.claims.defer({ ...claim, ms: ms * (1 + Math.random()) });
  }
}
