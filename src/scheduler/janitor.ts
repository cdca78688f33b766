import type { Logger } from "pino";
import type { Service } from "../domain/service.ts";
import type { ExecutionStore } from "../storage/execution-store.ts";
import { Loop } from "./loop.ts";

const everyMs = 60_000;

/** How many executions one statement deletes: few enough for its locks and its log not to be felt. */
const batchMax = 500;

export type JanitorOptions = {
  readonly executions: ExecutionStore;
  readonly retentionMs: number;
  readonly log: Logger;
};

/** Deletes executions that ended long ago, a few at a time. */
export class Janitor implements Service {
  readonly #options: JanitorOptions;
  readonly #loop: Loop;
  #isStopping = false;

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
    for (let deleted = batchMax; deleted === batchMax && !this.#isStopping; all += deleted) {
      deleted = await executions.deleteEnded({ ms: retentionMs, limit: batchMax });
    }
    if (all > 0) log.info({ executions: all }, "executions that ended long ago are deleted");
  }
}
