import type { Logger } from "pino";
import type { Outcome } from "../domain/execution.ts";
import type { Limits } from "../domain/limits.ts";
import type { Service } from "../domain/service.ts";
import type { ExecutionStore } from "../storage/execution-store.ts";
import { Loop } from "./loop.ts";
import type { Runs } from "./runs.ts";

const everyMs = 500;

/** How many executions are claimed by one statement at most. */
const batchMax = 64;

export type RescuerOptions = {
  readonly executions: ExecutionStore;
  readonly owner: string;
  readonly runs: Pick<Runs, "size" | "has" | "takeUp">;
  readonly limits: Pick<Limits, "slots" | "queueMax" | "runMs" | "ageMs">;
  /** Told of executions that it ended, since they took too long. */
  readonly onExpired: (executionId: string, outcome: Outcome) => void;
  readonly log: Logger;
};

/**
 * Takes up what nobody runs: queued executions, those whose owner's lease has run out, and those that this process owns
 * and does not run, which a lost answer can bring about. It looks for ever and again
 * at all of them, so nothing depends on a message that can be lost.
 */
export class Rescuer implements Service {
  readonly #options: RescuerOptions;
  readonly #loop: Loop;
  /** How many executions wait for a slot, as last seen and since accepted here. */
  queued = 0;
  #dueInMs: number | undefined;

  constructor(options: RescuerOptions) {
    this.#options = options;
    this.#loop = new Loop({
      name: "rescuer",
      everyMs,
      turn: () => this.#sweep(),
      dueInMs: () => this.#dueInMs,
      log: options.log,
    });
  }

  async start(): Promise<void> {
    await this.#loop.start();
  }

  async stop(): Promise<void> {
    await this.#loop.stop();
  }

  /** A slot is free: looks at once if something waits for it. */
  wake(): void {
    if (this.queued > 0) this.#loop.wake();
  }

  async #sweep(): Promise<void> {
    const { executions, owner, runs, limits, log } = this.#options;
    await this.#expire();
    await this.#releaseStrays();
    for (;;) {
      const limit = Math.min(limits.slots - runs.size, batchMax);
      if (limit <= 0) break;
      const claimed = await executions.claim({ owner, limit });
      for (const execution of claimed) {
        try {
          await runs.takeUp(execution);
        } catch (error) {
          // It stays owned by this process and does not run: a stray, for a later sweep.
          log.error({ execution: execution.id, err: error }, "an execution could not be taken up");
        }
      }
      if (claimed.length < limit) break;
    }
    const { queued, dueInMs } = await executions.getQueue(limits.queueMax);
    this.queued = queued;
    this.#dueInMs = dueInMs;
  }

  /** By the database's clock and whoever has them: an owner that hangs would not look at its own. */
  async #expire(): Promise<void> {
    const { executions, limits, onExpired } = this.#options;
    const { runMs, ageMs } = limits;
    for (const [id, outcome] of await executions.expire({ runMs, ageMs, limit: batchMax })) onExpired(id, outcome);
  }

  /** What runs here has taken its slot before its row was written: what is not there after the rows were read is lost. */
  async #releaseStrays(): Promise<void> {
    const { executions, owner, runs, log } = this.#options;
    const owned = await executions.listOwned(owner);
    const ids = owned.filter((id) => !runs.has(id));
    if (ids.length === 0) return;
    const strays = await executions.releaseStrays({ owner, ids });
    if (strays > 0) log.warn({ strays }, "executions that this process owned and did not run are queued again");
  }
}
