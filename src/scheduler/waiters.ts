import type { Clock } from "../domain/clock.ts";
import { isTerminal, type NewExecution, type Outcome } from "../domain/execution.ts";
import type { ExecutionStore } from "../storage/execution-store.ts";

/** How often the row is read again: the net under the word of whoever ends the execution. */
const rereadMs = 1_000;

/** Those who wait for the end of executions that another run, here or elsewhere, brings about. */
export class Waiters {
  readonly #executions: ExecutionStore;
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Set<(outcome: Outcome) => void>>();

  constructor({ executions, clock }: { executions: ExecutionStore; clock: Clock }) {
    this.#executions = executions;
    this.#clock = clock;
  }

  /** Tells those who wait for an execution of this process that it has ended. */
  settle(executionId: string, outcome: Outcome): void {
    for (const settle of this.#waiting.get(executionId) ?? []) settle(outcome);
  }

  /** Waits for the end of an execution; undefined when `ms` are over first. */
  async wait({ id, environmentId, linkedAccountId }: NewExecution, ms: number): Promise<Outcome | undefined> {
    const over = new AbortController();
    const told = Promise.withResolvers<Outcome>();
    const all = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, all.add(told.resolve));
    try {
      for (let left = ms; left > 0; left -= rereadMs) {
        const pause = this.#clock.wait(Math.min(left, rereadMs), over.signal);
        const outcome = await Promise.race([told.promise, pause]);
        if (outcome !== undefined) return outcome;
        const result = await this.#executions.getResult({ environmentId, linkedAccountId, executionId: id });
        if (result !== undefined && isTerminal(result.state)) return { ...result, state: result.state };
      }
      return undefined;
    } finally {
      over.abort();
      all.delete(told.resolve);
      if (all.size === 0) this.#waiting.delete(id);
    }
  }
}
