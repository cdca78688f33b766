import type { Clock } from "../../domain/clock.ts";
import { settlesWithin } from "../../domain/deadline.ts";
import type { Outcome } from "../../domain/execution.ts";
import { unreachable } from "../../domain/unreachable.ts";
import type { ClaimedExecution } from "../../storage/claims/claim-executions.ts";
import type { Capacity } from "../limits/capacity.ts";
import { ExecutionRun, type RunContext, type RunStart } from "./execution-run.ts";
import type { RunEnd } from "./run-state.ts";
import { eventOf } from "./trigger-event.ts";
import type { VersionCache } from "./version-cache.ts";

export type ActiveRunsOptions = RunContext & {
  readonly versions: VersionCache;
  readonly capacity: Pick<Capacity, "takeSlot" | "freeSlot">;
};

/** Whether a claimed execution runs now, or why it cannot. */
export type TakenUp = "runs" | "no_room" | "too_large";

/** The growth from recorded bytes to journal bytes, at most: JSON texts inside of JSON, encrypted and in Base64. */
export const writtenPerByte = 4;

/**
 * The runs of this process. Each has a slot from `add` until its graph has ended or it is dropped. While its end is committed it
 * needs none, unless as many as there are slots wait for that already.
 */
export class ActiveRuns {
  readonly #options: ActiveRunsOptions;
  readonly #running = new Map<string, ExecutionRun>();
  readonly #slots = new Set<ExecutionRun>();
  /** How many runs have given their slot away and wait for the commit of their end. */
  #ending = 0;
  /** How many runs are driven, and who waits until none is. */
  #driven = 0;
  #drained: PromiseWithResolvers<void> | undefined;

  constructor(options: ActiveRunsOptions) {
    this.#options = options;
  }

  get ids(): Iterable<string> {
    return this.#running.keys();
  }

  has(executionId: string): boolean {
    return this.#running.has(executionId);
  }

  /** Takes a slot for a run, which is then driven or dropped. */
  add(start: RunStart): ExecutionRun {
    const run = new ExecutionRun(start, this.#options);
    this.#running.set(run.execution.id, run);
    this.#slots.add(run);
    this.#options.capacity.takeSlot(run.execution);
    return run;
  }

  /** Forgets a run that does not begin, or has ended, and frees its slot. */
  drop(run: ExecutionRun): void {
    const { id } = run.execution;
    // After a lost answer an execution may be claimed again before its earlier run has noticed that.
    if (this.#running.get(id) === run) {
      this.#running.delete(id);
    }
    this.#freeSlot(run);
  }

  /** Runs until the run ends; says so by events, and to the caller, once its slot is free. Never rejects. */
  async drive(run: ExecutionRun): Promise<RunEnd> {
    this.#driven += 1;
    let isEnding = false;
    const end = await run.run(() => {
      isEnding = this.#ending < this.#options.limits.slots;
      if (isEnding) {
        this.#ending += 1;
        this.#freeSlot(run);
      }
    });
    this.#ending -= isEnding ? 1 : 0;
    this.#driven -= 1;
    this.drop(run);
    if (end.kind === "ENDED") {
      this.#options.events.emit("finished", { execution: run.execution, outcome: end.outcome, ms: run.ageMs });
    }
    // Nobody else knows of an execution that ran in memory alone.
    if (end.kind !== "ENDED" || end.wasOwned) {
      this.#announce(run.execution.id, end);
    }
    if (this.#driven === 0) {
      this.#drained?.resolve();
      this.#drained = undefined;
    }
    return end;
  }

  #freeSlot(run: ExecutionRun): void {
    if (this.#slots.delete(run) && this.#options.capacity.freeSlot(run.execution)) {
      this.#options.events.emit("slotFreed");
    }
  }

  /** Records for all runs which nodes have been under way for a while. */
  recordBegun(): void {
    for (const run of this.#running.values()) {
      run.recordBegun();
    }
  }

  /** Says that a signal was set: for one execution, or for any. */
  signalled(executionId?: string): void {
    const runs = executionId === undefined ? this.#running.values() : [this.#running.get(executionId)];
    for (const run of runs) {
      run?.signalled();
    }
  }

  /** Ends the run of an execution that somebody else has ended; without an outcome that has to be read. */
  supersede(executionId: string, outcome?: Outcome): void {
    this.#running.get(executionId)?.supersede(outcome);
  }

  /** Goes on with a claimed execution. Throws MissingKeyError, and what its journal or its workflow fails by. */
  async takeUp(claimed: ClaimedExecution): Promise<TakenUp> {
    const { executions, limits, memory, versions } = this.#options;
    // In the first epoch there was no owner who could have recorded anything.
    const journal = claimed.epoch > 1 ? await executions.openJournal(claimed) : undefined;
    const bytes = journal?.bytes ?? 0;
    if (bytes > writtenPerByte * limits.recordsBytesMax) {
      return "too_large";
    }
    const { id, organizationId } = claimed;
    if (!memory.hasRoom(organizationId, Math.min(bytes, limits.recordsBytesMax), id)) {
      return "no_room";
    }
    const graph = await versions.get(claimed, claimed.workflowId, claimed.version);
    const run = this.add({ execution: claimed, graph, linkedAccount: claimed.linkedAccount, event: eventOf(claimed) });
    try {
      await run.resume(claimed, journal);
    } catch (error) {
      this.drop(run);
      throw error;
    }
    void this.drive(run);
    return "runs";
  }

  /** Graceful shutdown: lets runs end for a while, then abandons the rest. */
  async drain(ms: number, clock: Clock): Promise<void> {
    await settlesWithin(ms, this.#untilDrained(), clock);
    for (const run of this.#running.values()) {
      run.abandon();
    }
    await this.#untilDrained();
  }

  async #untilDrained(): Promise<void> {
    while (this.#driven > 0) {
      this.#drained ??= Promise.withResolvers();
      await this.#drained.promise;
    }
  }

  #announce(executionId: string, end: RunEnd): void {
    const { events } = this.#options;
    switch (end.kind) {
      case "ENDED":
        events.emit("ended", { executionId, outcome: end.outcome, wasOwned: true });
        break;
      case "SUPERSEDED":
        if (end.outcome !== undefined) {
          events.emit("ended", { executionId, outcome: end.outcome, wasOwned: true });
        }
        break;
      case "FAILED":
        if (end.claim !== undefined) {
          events.emit("failed", end.claim, end.error);
        }
        break;
      case "ASLEEP":
      case "ABANDONED":
        break;
      default:
        unreachable(end);
    }
  }
}
