import type { Logger } from "pino";
import type { Clock } from "../../domain/clock.ts";
import type { EventLoopYielder } from "../../domain/event-loop-yielder.ts";
import type { Answer, NewExecution, Outcome } from "../../domain/execution.ts";
import { timeOfId } from "../../domain/id.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import { answerAmong } from "../../engine/graph/recorded-answer.ts";
import type { HttpClient } from "../../engine/http/http-client.ts";
import type { ProcessPool } from "../../engine/pool/process-pool.ts";
import type { Run } from "../../engine/run/run.ts";
import { runGraph } from "../../engine/run/run-graph.ts";
import type { FoundConnection } from "../../engine/secrets/connection-source.ts";
import type { ClaimedExecution } from "../../storage/claims/claim-executions.ts";
import type { Begun } from "../../storage/executions/begin-execution.ts";
import type { OpenedJournal } from "../../storage/executions/open-journal.ts";
import type { ReadSet } from "../../storage/tenants/read-set.ts";
import type { LinkedAccount } from "../../storage/tenants/tenant-store.ts";
import type { Sealing } from "../encryption/sealing.ts";
import type { MemoryBudget } from "../limits/memory-budget.ts";
import type { Lease } from "../process/lease.ts";
import { ChildRuns, type ResolveChild } from "./child-runs.ts";
import type { ExecutionLog } from "./execution-log.ts";
import { ExecutionWriter, type RunBegin } from "./execution-writer.ts";
import { fieldValues, noFields } from "./field-values.ts";
import { RunJournal } from "./run-journal.ts";
import { CallChangedError, isEnd, type RunEnd, RunInterrupted, type RunState } from "./run-state.ts";
import type { SchedulerEvents } from "./scheduler-events.ts";
import type { TriggerEvent } from "./trigger-event.ts";

/** The age at which a run that is held in memory has its row committed. */
const heldMs = 200;

/** The start of a run. */
export type RunStart = {
  readonly execution: NewExecution;
  readonly graph: Graph;
  readonly linkedAccount: LinkedAccount;
  readonly event: TriggerEvent;
  /** The cached resolution that the call relied on; absent where it was read for this call. */
  readonly readSet?: ReadSet;
};

export type RunContext = ExecutionLog & {
  readonly owner: string;
  readonly lease: Pick<Lease, "isHeld" | "whenHeld" | "databaseNow">;
  readonly sealing: Sealing;
  readonly events: SchedulerEvents;
  readonly isUnavailable: (error: unknown) => boolean;
  readonly http: Pick<HttpClient, "send">;
  /** Gives what an execution may send of its linked account's connection. */
  readonly openConnection: (execution: NewExecution, slug: string | undefined) => Promise<FoundConnection>;
  readonly readVariables: (environmentId: string, names: readonly string[]) => ReturnType<Run["variables"]["read"]>;
  readonly pool: Pick<ProcessPool, "run">;
  readonly yielder: EventLoopYielder;
  readonly onRecord?: Run["onRecord"];
  readonly resolveChild: ResolveChild;
  /** The URL that ends the wait of a node of an execution; undefined where the service has none. */
  readonly callbackUrl: (execution: NewExecution, path: string) => string | undefined;
  readonly limits: Limits;
  readonly memory: MemoryBudget;
  readonly clock: Clock;
  readonly log: Logger;
};

/**
 * One execution in this process, from its beginning or from what is recorded of it: a state machine (see `RunState`) that
 * drives the engine.
 *
 * A run begins HELD, without a row. Its row is committed by `begin`, and by the run itself before it has an effect outside
 * or when it grows old. A run that ends HELD is written once, finished.
 */
export class ExecutionRun {
  readonly execution: NewExecution;
  readonly #start: RunStart;
  readonly #context: RunContext;
  readonly #abort = new AbortController();
  readonly #writer: ExecutionWriter;
  readonly #journal: RunJournal;
  readonly #beginTime: number;
  #state: RunState = { kind: "HELD" };
  /** The response that an earlier run has recorded. */
  #answer: Answer | undefined;
  #isResumed = false;

  constructor(start: RunStart, context: RunContext) {
    const { execution, graph } = start;
    this.execution = execution;
    this.#start = start;
    this.#context = context;
    const { owner, executions, claims, signals, children, sealing, events, lease, isUnavailable } = context;
    const { limits, memory, clock } = context;
    this.#beginTime = clock.monotonic();
    this.#writer = new ExecutionWriter({
      execution,
      readSet: start.readSet,
      owner,
      executions,
      claims,
      signals,
      children,
      isOfFamily: graph.beginsExecutions || execution.source === "SUB_FLOW" || execution.source === "TEST",
      sealing,
      hidesNodes: graph.hidesNodes,
      findAnswer: (runs) => answerAmong(graph, runs),
      events,
      isUnavailable,
      clock,
      signal: this.#abort.signal,
    });
    this.#writer.onOwned((epoch) => this.#own(epoch));
    this.#journal = new RunJournal({
      writer: this.#writer,
      clock,
      acceptTime: timeOfId(execution.id),
      limits,
      lease,
      isUnavailable,
      openMemory: () => memory.open(execution.organizationId, execution.id),
      onEnd: (end) => this.#interrupt(end.kind === "FAILED" ? { ...end, claim: this.#writer.claim } : end),
    });
  }

  get #children(): ChildRuns {
    const { execution } = this;
    const [writer, journal, signal] = [this.#writer, this.#journal, this.#abort.signal];
    return new ChildRuns({ ...this.#context, execution, writer, journal, signal });
  }

  get state(): RunState {
    return this.#state;
  }

  /** The time since the call, in milliseconds; exact to a second where the execution was claimed. */
  get ageMs(): number {
    const { clock } = this.#context;
    return this.#isResumed ? clock.now() - timeOfId(this.execution.id) : clock.monotonic() - this.#beginTime;
  }

  /**
   * HELD → OWNED. Answers the execution that the idempotency key stands for already, if there is one, or that what the call was
   * resolved by has changed; then this run is none. Where the run has ended first, its end is committed when this settles.
   */
  async begin(begin: RunBegin = {}): Promise<Begun> {
    for (const { runs } of begin.flushes ?? []) {
      this.#journal.replay(runs);
      this.#answer ??= answerAmong(this.#start.graph, runs);
    }
    const begun = await this.#writer.begin(begin);
    if (begun === "changed") {
      this.#interrupt({ kind: "FAILED", error: new CallChangedError(), claim: undefined });
    }
    return begun;
  }

  /** HELD → OWNED, for an execution that was claimed: it goes on from its journal. Throws MissingKeyError. */
  async resume(claimed: ClaimedExecution, journal: OpenedJournal | undefined): Promise<void> {
    const { epoch, sealKey, wakeTime, isAnswered } = claimed;
    this.#isResumed = true;
    this.#writer.openKey(sealKey);
    if (wakeTime !== undefined) {
      this.#journal.sleptUntil(wakeTime);
    }
    if (journal !== undefined) {
      for await (const sealed of journal.read()) {
        const runs = this.#writer.unseal(sealed);
        this.#journal.replay(runs);
        this.#answer ??= answerAmong(this.#start.graph, runs);
      }
    }
    this.#writer.resume({ epoch, nextFlushIndex: journal?.nextFlushIndex ?? 0 });
    if (this.#answer !== undefined && !isAnswered) {
      this.#journal.keepAnswer(this.#answer);
    }
  }

  /** Records which nodes have been under way for a while. */
  recordBegun(): void {
    this.#journal.recordBegun();
  }

  /** A signal was set for the execution. */
  signalled(): void {
    this.#journal.signalled();
  }

  /** → ABANDONED: this process stops, and another one takes the execution up. */
  abandon(): void {
    this.#interrupt({ kind: "ABANDONED", wasOwned: this.#writer.claim !== undefined });
  }

  /** → SUPERSEDED: somebody else has ended the execution, with this outcome or one that has to be read. */
  supersede(outcome?: Outcome): void {
    this.#interrupt({ kind: "SUPERSEDED", outcome });
  }

  /**
   * Runs the graph to its end and commits that, or until the run is interrupted. Never rejects.
   *
   * @param onGraphEnd is called when only the commit of the end is left
   */
  async run(onGraphEnd: () => void): Promise<RunEnd> {
    // A failure interrupts the run.
    const begin = () => void this.#journal.begin().catch(() => undefined);
    const cancelBegin = this.#state.kind === "HELD" ? this.#context.clock.after(heldMs, begin) : undefined;
    try {
      const outcome = await this.#runGraph();
      cancelBegin?.();
      onGraphEnd();
      return await this.#finish(outcome);
    } catch (error) {
      return this.#interrupt({ kind: "FAILED", error, claim: this.#writer.claim });
    } finally {
      cancelBegin?.();
      this.#journal.close();
    }
  }

  async #runGraph(): Promise<Outcome> {
    const { execution, event, graph, linkedAccount } = this.#start;
    const { id: executionId, organizationId, environmentId } = execution;
    const { http, pool, yielder, callbackUrl, onRecord, limits, clock, log } = this.#context;
    const { attributes, ...account } = linkedAccount;
    try {
      return await runGraph(graph, {
        executionId,
        organizationId,
        environmentId,
        type: execution.type,
        event: { ...event, text: execution.payload },
        linkedAccount: { ...attributes, ...account },
        ...(execution.fields === undefined ? noFields : fieldValues(execution.fields)),
        callbackUrl: (path) => callbackUrl(execution, path),
        http,
        children: { run: (...request) => this.#children.run(...request) },
        connections: { open: (slug) => this.#reading(this.#context.openConnection(execution, slug)) },
        variables: { read: (names) => this.#reading(this.#context.readVariables(environmentId, names)) },
        pool,
        yielder,
        onRecord,
        limits,
        clock,
        journal: this.#journal,
        answer: this.#answer,
        keepsInputs: execution.source === "TEST",
        signal: this.#abort.signal,
      });
    } catch (error) {
      if (this.#abort.signal.aborted) {
        throw this.#abort.signal.reason;
      }
      log.error({ executionId, err: error }, "an execution failed by a fault of ours");
      const message = "The server failed to run the execution.";
      return { state: "ERRORED", error: { reason: "SERVER_ERROR", message } };
    }
  }

  /** A database that cannot be reached is no failure of the workflow: the run is interrupted, and goes on elsewhere. */
  async #reading<Found>(found: Promise<Found>): Promise<Found> {
    try {
      return await found;
    } catch (error) {
      if (this.#context.isUnavailable(error)) {
        this.#interrupt({ kind: "FAILED", error, claim: this.#writer.claim });
      }
      throw error;
    }
  }

  /** → ENDED, or SUPERSEDED where the write was fenced off. */
  async #finish(outcome: Outcome): Promise<RunEnd> {
    const written = await this.#writer.finish(outcome, await this.#journal.drain());
    if (written === "changed") {
      return this.#interrupt({ kind: "FAILED", error: new CallChangedError(), claim: undefined });
    }
    if (written === "superseded") {
      this.#context.log.info({ executionId: this.execution.id }, "another process has taken the execution over");
      return this.#interrupt({ kind: "SUPERSEDED" });
    }
    const end: RunEnd = { kind: "ENDED", outcome, wasOwned: this.#writer.claim !== undefined };
    this.#state = end;
    return end;
  }

  #own(epoch: number): void {
    if (this.#state.kind === "HELD") {
      this.#state = { kind: "OWNED", epoch };
    }
  }

  /** Ends the run before its graph does. Answers how it ended: the first reason counts. */
  #interrupt(end: RunEnd): RunEnd {
    if (isEnd(this.#state)) {
      return this.#state;
    }
    this.#state = end;
    this.#abort.abort(new RunInterrupted(end));
    return end;
  }
}
