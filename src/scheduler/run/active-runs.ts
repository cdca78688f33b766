import type { Clock } from "../../domain/clock.ts";
import type { Outcome } from "../../domain/execution.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import type { ClaimedExecution } from "../../storage/claims/claim-executions.ts";
import type { Claim } from "../../storage/executions/execution-claim.ts";
import type { Load } from "../limits/capacity.ts";
import { ExecutionRun, type ExecutionRunOptions } from "./execution-run.ts";
import { eventOf } from "./trigger-event.ts";
import type { VersionCache } from "./version-cache.ts";

/** What a run starts from. */
export type RunStart = Pick<ExecutionRunOptions, "execution" | "graph" | "linkedAccount" | "event">;

export type RunsOptions = Omit<ExecutionRunOptions, keyof RunStart> & {
  readonly versions: VersionCache;
  /** Told of each run that has left its slot, with its outcome if it ended here. */
  readonly onLeft: (run: ExecutionRun, outcome: Outcome | undefined) => void;
  readonly load: Pick<Load, "began" | "left">;
  /** Told of each committed run that cannot go on here, before it has left its slot for others to know. */
  readonly onFailed: (claim: Claim, error: unknown) => void;
};

/** What became of an execution that was to be gone on with. */
export type TakenUp = "runs" | "no_room" | "too_large";

/** How many bytes a journal has at the most for each byte that is recorded: texts in JSON in JSON, sealed in Base64. */
export const writtenPerByte = 4;

/** What this process runs. */
export class Runs {
  readonly #options: RunsOptions;
  readonly #running = new Map<string, ExecutionRun>();
  readonly #slots = new Set<ExecutionRun>();
  readonly #ending = new Set<Promise<void>>();

  constructor(options: RunsOptions) {
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
    const run = new ExecutionRun({ ...this.#options, ...start });
    this.#running.set(run.execution.id, run);
    this.#slots.add(run);
    this.#options.load.began(run.execution);
    return run;
  }

  /** Gives up the slot of a run that does not begin. */
  drop(run: ExecutionRun): void {
    if (!this.#slots.delete(run)) return;
    const { id } = run.execution;
    this.#options.load.left(run.execution);
    // An answer that was lost lets an execution be claimed anew while its earlier run has not learnt of it yet.
    if (this.#running.get(id) === run) this.#running.delete(id);
  }

  /** Runs to the end, or until the execution goes on elsewhere. Rejects only for a held run that could not be committed. */
  drive(run: ExecutionRun): Promise<Outcome | undefined> {
    const { onLeft, onFailed } = this.#options;
    const end = run.run().finally(() => this.drop(run));
    const left = end.then(
      (outcome) => onLeft(run, outcome),
      (error: unknown) => {
        if (run.isCommitted) onFailed(run.claim, error);
        onLeft(run, undefined);
      },
    );
    this.#ending.add(left);
    void left.then(() => this.#ending.delete(left));
    return end;
  }

  /** Records of all runs which nodes have been under way for a while. */
  recordBegun(): void {
    for (const run of this.#running.values()) run.recordBegun();
  }

  /** Ends the run of an execution at once, where this process runs it: somebody else has committed the outcome. */
  endWith(executionId: string, outcome: Outcome): void {
    this.#running.get(executionId)?.endWith(outcome);
  }

  /** Ends the run of an execution at once, where this process runs it: it has ended, and how is to be read. */
  cut(executionId: string): void {
    this.#running.get(executionId)?.abandon("the execution was ended from outside");
  }

  /**
   * Goes on with an execution that was claimed, or says why it cannot now. Throws KeyMissing, and any fault that its
   * journal or its workflow has.
   */
  async takeUp(claimed: ClaimedExecution): Promise<TakenUp> {
    const { executions, limits, memory, versions } = this.#options;
    // What nobody has owned has recorded nothing.
    const journal = claimed.epoch > 1 ? await executions.openJournal(claimed) : undefined;
    const bytes = journal?.bytes ?? 0;
    if (bytes > writtenPerByte * limits.recordsBytesMax) return "too_large";
    const { id, organizationId } = claimed;
    if (!memory.hasRoom(organizationId, Math.min(bytes, limits.recordsBytesMax), id)) return "no_room";
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

  /** Lets what runs end for a while, then cuts it short. */
  async drain(ms: number, clock: Clock): Promise<void> {
    const drained = new AbortController();
    await Promise.race([Promise.all(this.#ending), clock.wait(ms, drained.signal).catch(() => undefined)]);
    drained.abort(noLongerNeeded);
    for (const run of this.#running.values()) run.abandon("the process stops");
    await Promise.all(this.#ending);
  }
}
