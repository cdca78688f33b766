import type { Logger } from "pino";
import type { Tenant } from "../../domain/account.ts";
import type { Clock } from "../../domain/clock.ts";
import type { Answer, NewExecution, NodeRun, Outcome } from "../../domain/execution.ts";
import { timeOfId } from "../../domain/id.ts";
import type { Limits } from "../../domain/limits.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import { answerAmong } from "../../engine/graph/recorded-answer.ts";
import type { HttpClient } from "../../engine/http/http-client.ts";
import type { ProcessPool } from "../../engine/pool/process-pool.ts";
import { runGraph } from "../../engine/run/run-graph.ts";
import type { Turns } from "../../engine/run/yield-to-event-loop.ts";
import type { ClaimedExecution } from "../../storage/claims/claim-executions.ts";
import type { ClaimStore } from "../../storage/claims/claim-store.ts";
import type { Begin, BoundExecution } from "../../storage/executions/begin-execution.ts";
import type { Claim } from "../../storage/executions/execution-claim.ts";
import type { ExecutionStore } from "../../storage/executions/execution-store.ts";
import type { OpenedJournal } from "../../storage/executions/open-journal.ts";
import type { LinkedAccount } from "../../storage/tenants/tenant-store.ts";
import { openRun, type Sealing, type SealKey, sealFlushes, sealRun, withoutHidden } from "../encryption/sealing.ts";
import type { RecordMemory } from "../limits/memory-budget.ts";
import type { Lease } from "../process/lease.ts";
import { CutShort } from "./cut-short.ts";
import { fieldValues } from "./field-values.ts";
import { RunJournal } from "./run-journal.ts";
import type { Event } from "./trigger-event.ts";

/** How old a run held in memory may grow before its row is committed. */
const heldMs = 200;

/** The delay between two tries of a write that an unreachable database kept from its answer. */
const retryMs = 250;

export type ExecutionRunOptions = {
  readonly execution: NewExecution;
  readonly graph: Graph;
  readonly linkedAccount: LinkedAccount;
  readonly event: Event;
  readonly owner: string;
  readonly lease: Pick<Lease, "isHeld" | "whenHeld" | "databaseNow">;
  readonly sealing: Sealing;
  readonly executions: ExecutionStore;
  readonly claims: Pick<ClaimStore, "suspend" | "defer">;
  /** Told of each commit that adds to what is recorded of an execution. */
  readonly onRecorded?: (executionId: string) => void;
  readonly isUnavailable: (error: unknown) => boolean;
  readonly http: Pick<HttpClient, "send">;
  readonly pool: Pick<ProcessPool, "run">;
  readonly turns: Turns;
  readonly limits: Limits;
  readonly memory: RecordMemory;
  readonly clock: Clock;
  readonly log: Logger;
};

/**
 * One execution in this process, from its beginning or from what is recorded of it, to its committed end.
 *
 * It starts out held: nothing of it is in the database. `begin` commits its row, owned; a held run that grows old, or is
 * about to have an effect outside, does so by itself. A held run that ends first is committed once, finished. Every
 * later write is fenced by owner and epoch.
 */
export class ExecutionRun {
  readonly execution: NewExecution;
  readonly #options: ExecutionRunOptions;
  readonly #abort = new AbortController();
  readonly #journal: RunJournal;
  /** Set where a node of the workflow hides what it gives. */
  #sealKey: SealKey | undefined;
  #epoch = 0;
  #wasOwned = false;
  #begun: Promise<BoundExecution | undefined> | undefined;
  #outcome: Outcome | undefined;

  constructor(options: ExecutionRunOptions) {
    const { executions, claims, execution, limits, memory, clock } = options;
    this.execution = execution;
    this.#options = options;
    this.#journal = new RunJournal({
      clock,
      acceptTime: timeOfId(execution.id),
      begin: () => this.#beginHeld(),
      append: async (flushIndex, runs) => {
        const kept = runs.map((run) => this.#sealed(run));
        const answer = answerAmong(options.graph, runs);
        const isKept = await executions.append({ ...this.claim, flushIndex, runs: kept, answer });
        if (isKept) options.onRecorded?.(execution.id);
        else this.#loseOwnership();
      },
      sleep: async ({ isPutOff, ...sleep }) => {
        const isAsleep = await claims[isPutOff ? "defer" : "suspend"]({ ...this.claim, ...sleep });
        if (isAsleep) this.#abort.abort(new CutShort("the execution sleeps"));
        else this.#loseOwnership();
      },
      lease: options.lease,
      onError: (error) => this.#abort.abort(error),
      isUnavailable: options.isUnavailable,
      recordsBytesMax: limits.recordsBytesMax,
      memory: memory.open(execution.organizationId, execution.id),
    });
  }

  /** Whether a row of this execution is in the database. */
  get isCommitted(): boolean {
    return this.#epoch > 0;
  }

  /** Whether others could know of it before its end. */
  get wasOwned(): boolean {
    return this.#wasOwned;
  }

  /** What every write names, and what it changes nothing without. */
  get claim(): Claim & Tenant {
    const { id: executionId, organizationId, environmentId } = this.execution;
    return { organizationId, environmentId, executionId, owner: this.#options.owner, epoch: this.#epoch };
  }

  /** How it ended, once that is committed. */
  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  /** Commits the row once, owned by this process; answers the execution that the idempotency key stands for instead, if any. */
  begin(begin: Omit<Begin, "owner"> = {}): Promise<BoundExecution | undefined> {
    this.#begun ??= this.#begin(begin);
    return this.#begun;
  }

  /** Makes this the run of an execution that was claimed: it goes on from what is recorded. Throws KeyMissing. */
  async resume(claimed: ClaimedExecution, journal: OpenedJournal | undefined): Promise<void> {
    const { sealKey, wakeTime, isAnswered } = claimed;
    this.#begun = Promise.resolve(undefined);
    const key = sealKey === undefined ? undefined : this.#options.sealing.openKey(this.execution.id, sealKey);
    this.#sealKey = key;
    if (wakeTime !== undefined) this.#journal.sleptUntil(wakeTime);
    if (journal === undefined) return this.#own(claimed.epoch);
    let answer: Answer | undefined;
    for await (const runs of journal.read()) {
      const opened = key === undefined ? runs : runs.map((run) => openRun(run, key));
      this.#journal.replay(opened, journal.nextFlushIndex);
      if (!isAnswered) answer ??= answerAmong(this.#options.graph, opened);
    }
    this.#own(claimed.epoch);
    if (answer === undefined) return; // Else an earlier release has recorded the node, and was to keep it at the end.
    const flush = { flushIndex: journal.nextFlushIndex, runs: [], answer };
    if (!(await this.#options.executions.append({ ...this.claim, ...flush }))) return this.#loseOwnership();
    this.#journal.replay([], flush.flushIndex + 1);
  }

  /** Records which nodes have been under way for a while. */
  recordBegun(): void {
    this.#journal.recordBegun();
  }

  /** Ends the run without an outcome: another process can take the execution up, or it has ended. */
  abandon(why: string): void {
    this.#abort.abort(new CutShort(why));
  }

  /** Ends the run at once, since somebody else has committed this outcome of its execution. */
  endWith(outcome: Outcome): void {
    this.#outcome = outcome;
    this.#abort.abort(new CutShort("the execution was ended from outside", outcome));
  }

  /**
   * Runs to the end and commits it. Answers undefined where the execution goes on elsewhere; rejects when a held run
   * could not be committed.
   */
  async run(): Promise<Outcome | undefined> {
    const { clock } = this.#options;
    const ended = new AbortController();
    const aged = clock.wait(heldMs, ended.signal).then(
      () => this.#beginHeld(),
      () => undefined,
    );
    aged.catch(() => undefined);
    try {
      const outcome = await this.#runGraph();
      ended.abort(noLongerNeeded);
      if (this.#begun !== undefined) return await this.#finish(outcome);
      // From here on there is nothing left to begin: whoever would begin it waits for its end.
      this.#begun = this.#commitFinished(outcome);
      await this.#begun;
      return outcome;
    } catch (error) {
      if (error instanceof CutShort) return error.outcome;
      throw error;
    } finally {
      ended.abort(noLongerNeeded);
      this.#journal.close();
    }
  }

  async #begin(begin: Omit<Begin, "owner">): Promise<BoundExecution | undefined> {
    const { executions, owner, graph, sealing } = this.#options;
    const { flushes = [] } = begin;
    const runs = flushes.flatMap((flush) => flush.runs);
    if (runs.length > 0) this.#journal.replay(runs, flushes.length);
    const key = graph.hidesNodes ? sealing.createKey(this.execution.id) : undefined;
    this.#sealKey = key;
    const sealed =
      key === undefined ? {} : { flushes: sealFlushes(flushes, key), sealKey: key.wrapped, sealedBy: sealing.keyName };
    const answer = answerAmong(graph, runs);
    const bound = await executions.begin(this.execution, { ...begin, owner, answer, ...sealed });
    if (bound === undefined) this.#own(1);
    return bound;
  }

  /** Commits the row of a run that can be held no longer. One that could not be ends the run, with its error. */
  async #beginHeld(): Promise<void> {
    try {
      await this.begin();
    } catch (error) {
      this.#abort.abort(error);
      throw error;
    }
  }

  async #runGraph(): Promise<Outcome> {
    const { execution, event, graph, linkedAccount, http, pool, turns, limits, clock, log } = this.#options;
    const { attributes, ...account } = linkedAccount;
    try {
      return await runGraph(graph, {
        executionId: execution.id,
        organizationId: execution.organizationId,
        environmentId: execution.environmentId,
        type: execution.type,
        event: { ...event, text: execution.payload },
        linkedAccount: { ...attributes, ...account },
        ...fieldValues(execution),
        http,
        pool,
        turns,
        limits,
        clock,
        journal: this.#journal,
        keepsInputs: execution.source === "TEST",
        signal: this.#abort.signal,
      });
    } catch (error) {
      if (this.#abort.signal.aborted) throw this.#abort.signal.reason;
      log.error({ execution: execution.id, err: error }, "an execution failed by a fault of ours");
      return { state: "ERRORED", error: { reason: "SERVER_ERROR", message: "Something went wrong on our side." } };
    }
  }

  async #commitFinished(outcome: Outcome): Promise<undefined> {
    await this.#options.executions.recordFinished(
      this.execution,
      outcome,
      this.#journal.take().runs.map(withoutHidden),
    );
    this.#epoch = 1;
    this.#outcome = outcome;
  }

  /** Commits the end. An answer that did not come leaves open whether it is committed: the same statement finds out. */
  async #finish(outcome: Outcome): Promise<Outcome | undefined> {
    const { executions, clock, isUnavailable, log } = this.#options;
    await this.#begun;
    await this.#journal.settled();
    const { index, runs } = this.#journal.take();
    const flush = { index, runs: runs.map(withoutHidden) };
    for (;;) {
      try {
        const moved = await executions.finish({ ...this.claim, outcome, ...(flush.runs.length > 0 && { flush }) });
        if (moved) {
          this.#outcome = outcome;
          this.#options.onRecorded?.(this.execution.id);
          return outcome;
        }
        log.info({ execution: this.execution.id, epoch: this.#epoch }, "another process has taken the execution over");
        return undefined;
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        await clock.wait(retryMs, this.#abort.signal);
      }
    }
  }

  /** What a node hides is not kept at all where it could not be sealed: then it runs again if need be. */
  #sealed(run: NodeRun): NodeRun {
    return this.#sealKey === undefined ? withoutHidden(run) : sealRun(run, this.#sealKey);
  }

  #own(epoch: number): void {
    this.#wasOwned = true;
    this.#epoch = epoch;
    this.#journal.open();
  }

  #loseOwnership(): void {
    this.#abort.abort(new CutShort("another process has taken the execution over, or ended it"));
  }
}
