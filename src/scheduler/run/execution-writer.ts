import type { Tenant } from "../../domain/account.ts";
import type { Clock } from "../../domain/clock.ts";
import type { Answer, NewExecution, NodeRun, Outcome } from "../../domain/execution.ts";
import type { Begin, Begun } from "../../storage/executions/begin-execution.ts";
import type { Claim } from "../../storage/executions/execution-claim.ts";
import type { Finishing } from "../../storage/executions/finish-execution.ts";
import type { SignalRead } from "../../storage/executions/signals.ts";
import type { ReadSet } from "../../storage/tenants/read-set.ts";
import type { DataKey, Sealing } from "../encryption/sealing.ts";
import { openSignal } from "../encryption/signal-values.ts";
import type { ExecutionChildren, ExecutionClaims, ExecutionRecords, ExecutionSignals } from "./execution-log.ts";
import type { SchedulerEvents } from "./scheduler-events.ts";
import { openRun, redactRun, sealBegin, sealRun } from "./sealed-records.ts";

/** The delay before a write is repeated that an unreachable database did not answer. */
const retryMs = 250;

/** Whether a write took effect, or was fenced off: then another process owns the execution or has ended it. */
export type Written = "committed" | "superseded";

/** As `Written`. An execution without a row gets none where what its call was resolved by has changed. */
export type Finished = Written | "changed";

/** A sleep, until its time has come by the clock of this run. */
export type Sleep = {
  readonly ms: number;
  readonly wakeTime: number;
  /** The signals that it waits for too. */
  readonly awaits?: readonly string[];
  /** Whether the run gives way to others for lack of memory, and would have gone on otherwise. */
  readonly isDeferred: boolean;
};

/** Values that are written with the row of an execution. */
export type RunBegin = Pick<Begin, "idempotencyKey" | "flushes">;

export type ExecutionWriterOptions = {
  readonly execution: NewExecution;
  readonly readSet?: ReadSet | undefined;
  readonly owner: string;
  readonly executions: Pick<ExecutionRecords, "begin" | "recordFinished" | "append" | "finish">;
  readonly claims: Pick<ExecutionClaims, "suspend" | "defer">;
  readonly signals: Pick<ExecutionSignals, "read" | "close">;
  readonly children: Pick<ExecutionChildren, "finish">;
  /** Whether it may have begun others, or another one may have begun it. */
  readonly isOfFamily: boolean;
  readonly sealing: Sealing;
  /** Whether a node of the workflow hides its output. The execution has a data key then. */
  readonly hidesNodes: boolean;
  /** Finds the workflow's response among records. */
  readonly findAnswer: (runs: readonly NodeRun[]) => Answer | undefined;
  readonly events: Pick<SchedulerEvents, "emit">;
  readonly isUnavailable: (error: unknown) => boolean;
  readonly clock: Clock;
  /** Ends the repeating of writes. */
  readonly signal: AbortSignal;
};

/**
 * The only one that writes for a run. Writes are serial: each waits for the one before. They name the claim of this
 * process, so that a run that was overtaken changes nothing, and what nodes hide is sealed.
 *
 * While the database is away, appends and the end are repeated; they are idempotent. The first write, `begin`, is not:
 * its caller gets the error. Nor is `sleep`: the run waits on in memory.
 */
export class ExecutionWriter {
  readonly #options: ExecutionWriterOptions;
  readonly #ownedListeners: ((epoch: number) => void)[] = [];
  #tail: Promise<unknown> | undefined;
  #begun: Promise<Begun> | undefined;
  /** Set once the end of an execution without a row is written. */
  #recorded: Promise<Finished> | undefined;
  #claim: (Claim & Tenant) | undefined;
  #dataKey: DataKey | undefined;
  #flushIndex = 0;
  #confirmedTime = Number.NEGATIVE_INFINITY;

  constructor(options: ExecutionWriterOptions) {
    this.#options = options;
  }

  /** Calls a listener with the epoch once the row is committed and owned. It never is where the execution ends in memory. */
  onOwned(listener: (epoch: number) => void): void {
    this.#ownedListeners.push(listener);
  }

  /** The claim that every write names; undefined until the execution is owned. */
  get claim(): (Claim & Tenant) | undefined {
    return this.#claim;
  }

  /** The monotonic start time of the last write that confirmed the claim. */
  get confirmedTime(): number {
    return this.#confirmedTime;
  }

  /** Settles when all writes that were asked for have settled. */
  async idle(): Promise<void> {
    await this.#tail;
  }

  /**
   * Commits the row, owned by this process, unless that was done before or the execution has ended. Answers the execution
   * that the idempotency key stands for already, if there is one, or that its read set has changed: then this one does not exist.
   */
  begin(begin: RunBegin = {}): Promise<Begun> {
    this.#begun ??= this.#recorded?.then((recorded) => (recorded === "changed" ? recorded : undefined));
    this.#begun ??= this.#enqueue(() => this.#begin(begin));
    return this.#begun;
  }

  /** Prepares to go on with a claimed execution. Throws MissingKeyError. */
  openKey(wrapped: string | undefined): void {
    const { sealing, execution } = this.#options;
    this.#dataKey = wrapped === undefined ? undefined : sealing.openDataKey(execution.id, wrapped);
  }

  unseal(runs: readonly NodeRun[]): readonly NodeRun[] {
    const key = this.#dataKey;
    return key === undefined ? runs : runs.map((run) => openRun(run, key));
  }

  /** Writes as the owner of this epoch from now on. */
  resume({ epoch, nextFlushIndex }: { readonly epoch: number; readonly nextFlushIndex: number }): void {
    this.#begun = Promise.resolve(undefined);
    this.#flushIndex = nextFlushIndex;
    this.#own(epoch);
  }

  /** Adds one flush to the journal. Without records it only asks whether the claim still holds. */
  async append(runs: readonly NodeRun[], answer = this.#options.findAnswer(runs)): Promise<Written> {
    const { execution, executions, events, signal } = this.#options;
    const flushIndex = this.#flushIndex;
    this.#flushIndex += 1;
    const sealed = runs.some(isHidden) ? runs.map((run) => this.#sealed(run)) : runs;
    return await this.#enqueue(async () => {
      signal.throwIfAborted();
      const entry = { ...this.#ownClaim(), flushIndex, runs: sealed, answer };
      const written = await this.#untilAnswered(() => executions.append(entry));
      if (written === "committed") {
        events.emit("recorded", execution.id);
      }
      return written;
    });
  }

  /** Ends the execution, with the last flush. One that has no row yet gets it in the same write. */
  async finish(outcome: Outcome, runs: readonly NodeRun[]): Promise<Finished> {
    const { execution, executions, readSet, isOfFamily } = this.#options;
    const shown = runs.some(isHidden) ? runs.map(redactRun) : runs;
    if (this.#begun === undefined) {
      this.#recorded = executions
        .recordFinished(execution, outcome, shown, readSet)
        .then((isRecorded) => (isRecorded ? "committed" : "changed"));
      return await this.#recorded;
    }
    const flush = shown.length > 0 && { flush: { index: this.#flushIndex, runs: shown } };
    return await this.#enqueue(async () => {
      await this.#begun;
      const end = { ...this.#ownClaim(), outcome, ...flush };
      return await this.#untilAnswered(() => (isOfFamily ? this.#finishFamily(end) : executions.finish(end)));
    });
  }

  async #finishFamily(finishing: Finishing): Promise<boolean> {
    const end = await this.#options.children.finish(finishing);
    if (end !== undefined) {
      this.#options.events.emit("familyEnded", end);
    }
    return end !== undefined;
  }

  /** Asks the log something as the owner, until it answers. */
  async ask<Answer>(ask: (claim: Claim & Tenant) => Promise<Answer>): Promise<Answer> {
    return await this.#whileUnavailable(() => ask(this.#ownClaim()));
  }

  /** Gives the execution back until its time has come. */
  async sleep({ isDeferred, awaits = [], ...sleep }: Sleep): Promise<Written> {
    const { claims } = this.#options;
    return await this.#enqueue(async () => {
      const wait = { ...this.#ownClaim(), ...sleep, ...(awaits.length > 0 && { awaits }) };
      return (await (isDeferred ? claims.defer(wait) : claims.suspend(wait))) ? "committed" : this.#fenced();
    });
  }

  /** What has been set for a wait of the execution so far. */
  async readSignal(name: string): Promise<SignalRead> {
    const { signals } = this.#options;
    return this.#opened(name, await this.#whileUnavailable(() => signals.read({ ...this.#ownClaim(), name })));
  }

  /** Ends a wait of the execution for good, unless its signal came first. */
  async closeSignal(name: string): Promise<SignalRead> {
    const { signals } = this.#options;
    const close = () => this.#whileUnavailable(() => signals.close({ ...this.#ownClaim(), name }));
    return this.#opened(name, await this.#enqueue(close));
  }

  #opened(name: string, read: SignalRead): SignalRead {
    const { sealing, execution } = this.#options;
    const place = { executionId: execution.id, name };
    return typeof read === "object" ? { value: openSignal(sealing, place, read.value) } : read;
  }

  async #begin({ idempotencyKey, flushes = [] }: RunBegin): Promise<Begun> {
    const { execution, readSet, owner, executions, sealing, hidesNodes, findAnswer } = this.#options;
    const { dataKey, ...sealed } = sealBegin({ execution, flushes, hidesNodes, sealing });
    this.#dataKey = dataKey;
    this.#flushIndex = flushes.length;
    const answer = findAnswer(flushes.flatMap(({ runs }) => runs));
    const bound = await executions.begin(execution, { owner, idempotencyKey, answer, readSet, ...sealed });
    if (bound === undefined) {
      this.#own(1);
    }
    return bound;
  }

  #own(epoch: number): void {
    const { execution, owner } = this.#options;
    const { id: executionId, organizationId, environmentId } = execution;
    this.#claim = { organizationId, environmentId, executionId, owner, epoch };
    for (const listener of this.#ownedListeners) {
      listener(epoch);
    }
  }

  #ownClaim(): Claim & Tenant {
    if (this.#claim === undefined) {
      throw new Error("an execution is written that this process does not own");
    }
    return this.#claim;
  }

  /** Without a data key hidden output is not kept at all; the node runs again where a replay needs it. */
  #sealed(run: NodeRun): NodeRun {
    return this.#dataKey === undefined ? redactRun(run) : sealRun(run, this.#dataKey);
  }

  #enqueue<Answer>(write: () => Promise<Answer>): Promise<Answer> {
    const written = this.#tail === undefined ? write() : this.#tail.then(write);
    this.#tail = written.catch(() => undefined);
    return written;
  }

  #fenced(): Written {
    this.#options.events.emit("fenced");
    return "superseded";
  }

  async #untilAnswered(write: () => Promise<boolean>): Promise<Written> {
    return await this.#whileUnavailable(async () => {
      const startTime = this.#options.clock.monotonic();
      if (!(await write())) {
        return this.#fenced();
      }
      this.#confirmedTime = startTime;
      return "committed";
    });
  }

  /** Repeats what the database does not answer. */
  async #whileUnavailable<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    const { clock, signal, isUnavailable } = this.#options;
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (!isUnavailable(error)) {
          throw error;
        }
        await clock.wait(retryMs, signal);
      }
    }
  }
}

function isHidden({ is_hidden }: NodeRun): boolean {
  return is_hidden === true;
}
