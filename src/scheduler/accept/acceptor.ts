import type { Clock } from "../../domain/clock.ts";
import { valueWithin } from "../../domain/deadline.ts";
import { isTerminal } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import type { RequestError } from "../../domain/request-error.ts";
import { answerAmong } from "../../engine/graph/recorded-answer.ts";
import type { ProcessPool } from "../../engine/pool/process-pool.ts";
import type { Begun } from "../../storage/executions/begin-execution.ts";
import type { BoundExecution } from "../../storage/executions/idempotency-keys.ts";
import type { ExecutionReader } from "../../storage/history/execution-reader.ts";
import type { Notifier } from "../../storage/postgres/notifier.ts";
import type { ConfigStore } from "../../storage/tenants/config-store.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import type { Sealing } from "../encryption/sealing.ts";
import type { Capacity } from "../limits/capacity.ts";
import type { DailyQuota } from "../limits/daily-quota.ts";
import type { MemoryBudget } from "../limits/memory-budget.ts";
import type { ActiveRuns } from "../run/active-runs.ts";
import type { ExecutionRecords } from "../run/execution-log.ts";
import { isEnd, isOfChange, type RunEnd } from "../run/run-state.ts";
import type { SchedulerEvents } from "../run/scheduler-events.ts";
import { sealBegin } from "../run/sealed-records.ts";
import type { VersionCache } from "../run/version-cache.ts";
import type { Waiters } from "../waiting/waiters.ts";
import { keysMissing, shuttingDown } from "./call-errors.ts";
import { CallResolver } from "./call-resolver.ts";
import type { ExecuteCall, ExecuteResult, ExecutionRequest } from "./execute-call.ts";
import { ExecutionFactory } from "./execution-factory.ts";
import { findBoundOrThrow, findReplayed, keyReuseError } from "./idempotent-replay.ts";

export type AcceptorOptions = {
  readonly executions: ExecutionRecords;
  readonly reader: ExecutionReader;
  readonly workflows: WorkflowStore;
  readonly configs: ConfigStore;
  readonly sealing: Sealing;
  readonly pool: Pick<ProcessPool, "run">;
  readonly notifier: Pick<Notifier, "notify">;
  readonly versions: VersionCache;
  readonly memory: MemoryBudget;
  readonly runs: ActiveRuns;
  readonly capacity: Capacity;
  /** Absent if a day has no limit. */
  readonly dailyQuota: DailyQuota | undefined;
  readonly waiters: Waiters;
  readonly events: Pick<SchedulerEvents, "emit">;
  readonly limits: Limits;
  /** The database's time in milliseconds since 1970, from which executions get their ids. */
  readonly databaseNow: () => number;
  readonly clock: Clock;
};

/**
 * Accepts calls. An asynchronous execution is committed before its id is returned; it runs at once where its account has
 * a free slot, and is queued otherwise. A synchronous run is held in memory until it ends or grows old, and its id is
 * returned only once its row is committed.
 */
export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #factory: ExecutionFactory;
  readonly #resolver: CallResolver;
  #isStopped = false;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#factory = new ExecutionFactory(options);
    this.#resolver = new CallResolver(options);
  }

  /** Accepts nothing more. */
  stop(): void {
    this.#isStopped = true;
  }

  /**
   * Accepts a call: finds what it names, begins the execution, and waits where the call does. Throws RequestError; then
   * nothing was accepted that the caller could have an id of.
   */
  async execute(call: ExecuteCall): Promise<ExecuteResult> {
    // Load shedding comes before any statement. A call with a key may be a replay, which no limit concerns.
    const overload = call.idempotencyKey === undefined ? this.#overloadError(call) : undefined;
    if (overload !== undefined) {
      throw overload;
    }
    const startTime = this.#options.clock.monotonic();
    const known = await this.#resolver.recall(call);
    const result = known && (await this.#accept(call, known));
    if (result !== undefined && result !== "changed") {
      return result;
    }
    return await this.#executeResolved(known === undefined ? call : this.#leftOf(call, startTime));
  }

  /** Accepts a call by what the database says now. */
  async #executeResolved(call: ExecuteCall): Promise<ExecuteResult> {
    const request = await this.#resolver.resolve(call).catch(async (error: unknown) => {
      const replayedId = await findReplayed(call, error, this.#options);
      if (replayedId === undefined) {
        throw error;
      }
      return replayedId;
    });
    if (typeof request === "string") {
      return await this.#join(request, call);
    }
    const result = await this.#accept(call, request);
    if (result === "changed") {
      throw new Error("an execution was refused for a read set that it does not have");
    }
    return result;
  }

  /** The call for another try: it waits no longer than its first try would have. */
  #leftOf(call: ExecuteCall, startTime: number): ExecuteCall {
    const { waitMs, onWait: _, ...rest } = call;
    const elapsedMs = this.#options.clock.monotonic() - startTime;
    return { ...rest, ...(waitMs !== undefined && { waitMs: Math.max(0, waitMs - elapsedMs) }) };
  }

  /** Begins the execution and waits where the call does. "changed": nothing was accepted, and the call has to be resolved anew. */
  async #accept(call: ExecuteCall, request: ExecutionRequest): Promise<ExecuteResult | "changed"> {
    if (this.#isStopped) {
      throw shuttingDown();
    }
    if (call.type === "SYNC" && request.idempotencyKey === undefined && this.#options.capacity.hasSlot(call)) {
      return await this.#runHeld(request, call);
    }
    const { begun, end } = await this.#begin(request);
    if (begun === "changed") {
      return "changed";
    }
    return begun === undefined
      ? await this.#await(request.execution.id, call, end)
      : await this.#replay(begun, request, call);
  }

  /** Begins an execution that the factory makes (a rerun, a retry, a test of a draft); answers its id. Throws RequestError. */
  async submit(make: (factory: ExecutionFactory) => Promise<ExecutionRequest>): Promise<string> {
    if (this.#isStopped) {
      throw shuttingDown();
    }
    const request = await make(this.#factory);
    if (request.graph.hidesNodes && !this.#options.sealing.canSeal) {
      throw keysMissing();
    }
    await this.#begin(request);
    return request.execution.id;
  }

  /** Queues a call under an id that others may have accepted already: it is accepted once. Throws RequestError. */
  async enqueueOnce(call: ExecuteCall, executionId: string): Promise<void> {
    if (this.#isStopped) {
      throw shuttingDown();
    }
    const request = await this.#resolver.resolve(call);
    await this.#begin({ ...request, execution: { ...request.execution, id: executionId } }, { isQueued: true });
  }

  #overloadError(call: ExecuteCall): RequestError | undefined {
    const { capacity, dailyQuota } = this.#options;
    return dailyQuota?.errorFor(call) ?? (capacity.hasSlot(call) ? undefined : capacity.queueError(call));
  }

  /** Begins an execution here or in the queue. Answers the end of its run, if it runs here. */
  async #begin(request: ExecutionRequest, { isQueued = false } = {}): Promise<Beginning> {
    const { dailyQuota, executions, events, capacity } = this.#options;
    const { execution } = request;
    const error = dailyQuota?.errorFor(execution);
    if (error !== undefined) {
      return { begun: await findBoundOrThrow(request, error, executions) };
    }
    const giveBack = dailyQuota?.take(execution);
    let isAccepted = false;
    try {
      const isHere = !isQueued && capacity.hasSlot(execution);
      const beginning = await (isHere ? this.#runOwned(request) : this.#enqueue(request));
      isAccepted = beginning.begun === undefined;
      if (isAccepted) {
        events.emit("accepted", execution);
      }
      return beginning;
    } finally {
      if (!isAccepted) {
        giveBack?.();
      }
    }
  }

  async #enqueue(request: ExecutionRequest): Promise<Beginning> {
    const { execution, graph, idempotencyKey, readSet, flushes = [] } = request;
    const { executions, notifier, capacity, sealing } = this.#options;
    const error = capacity.queueError(execution);
    if (error !== undefined) {
      return { begun: await findBoundOrThrow(request, error, executions) };
    }
    const answer = answerAmong(
      graph,
      flushes.flatMap(({ runs }) => runs),
    );
    const { dataKey: _, ...sealed } = sealBegin({ execution, flushes, hidesNodes: graph.hidesNodes, sealing });
    const begin = { idempotencyKey, answer, readSet, ...sealed };
    const begun = await capacity.enqueue(execution, () => executions.begin(execution, begin));
    notifier.notify("queued");
    return { begun };
  }

  async #runOwned({ idempotencyKey, flushes, ...start }: ExecutionRequest): Promise<Beginning> {
    const { runs } = this.#options;
    const run = runs.add(start);
    let isBegun = false;
    try {
      const begun = await run.begin({ idempotencyKey, flushes });
      isBegun = begun === undefined;
      return isBegun ? { begun, end: runs.drive(run) } : { begun };
    } finally {
      // After a fault the row may be committed all the same. This process owns it then and does not run it (an orphan), and
      // the rescuer finds that.
      if (!isBegun) {
        runs.drop(run);
      }
    }
  }

  /** Runs what has no row yet. It gets one at the latest when its caller stops waiting. */
  async #runHeld(request: ExecutionRequest, call: ExecuteCall): Promise<ExecuteResult | "changed"> {
    const { runs, waiters, events, dailyQuota, clock } = this.#options;
    const { waitMs: ms = 0, signal, onWait } = call;
    const { id: executionId } = request.execution;
    const giveBack = dailyQuota?.take(request.execution);
    const run = runs.add(request);
    onWait?.();
    const deadline = clock.monotonic() + ms;
    let end = await valueWithin(ms, runs.drive(run), { signal, clock });
    if (end === undefined) {
      if (this.#isStopped && run.state.kind === "HELD") {
        throw shuttingDown();
      }
      await run.begin();
      end = isEnd(run.state) ? run.state : undefined;
      if (end?.kind !== "FAILED") {
        events.emit("accepted", request.execution);
        return { executionId, outcome: end && "outcome" in end ? end.outcome : undefined };
      }
    }
    if (end.kind === "FAILED") {
      if (isOfChange(end, request.readSet)) {
        giveBack?.();
        return "changed";
      }
      throw end.error;
    }
    if (end.kind === "ABANDONED" && !end.wasOwned) {
      throw shuttingDown();
    }
    events.emit("accepted", request.execution);
    return { executionId, outcome: await waiters.outcomeOf(executionId, end, { deadline, signal }) };
  }

  /** Waits where the call does: for the run in this process, or for its row where it does not run here. */
  async #await(executionId: string, call: ExecuteCall, running?: Promise<RunEnd>): Promise<ExecuteResult> {
    const { waiters, clock } = this.#options;
    const { waitMs: ms, signal, onWait } = call;
    if (ms === undefined) {
      return { executionId };
    }
    onWait?.();
    if (running === undefined) {
      return { executionId, outcome: await waiters.wait(executionId, ms, signal) };
    }
    const deadline = clock.monotonic() + ms;
    const end = await valueWithin(ms, running, { signal, clock });
    return { executionId, outcome: end && (await waiters.outcomeOf(executionId, end, { deadline, signal })) };
  }

  /** Answers what the key stands for, where it was bound by an equal call. */
  async #replay(bound: BoundExecution, request: ExecutionRequest, call: ExecuteCall): Promise<ExecuteResult> {
    if (bound.fingerprint !== request.idempotencyKey?.fingerprint) {
      throw await keyReuseError(bound, call, this.#options);
    }
    return await this.#join(bound.executionId, call);
  }

  /** Joins the execution that an earlier call with the key started, or answers as it ended. */
  async #join(executionId: string, call: ExecuteCall): Promise<ExecuteResult> {
    const { organizationId, environmentId, linkedAccountId } = call;
    const query = { organizationId, environmentId, linkedAccountId, executionId };
    const result = await this.#options.executions.getResult(query);
    if (call.waitMs === undefined) {
      return { executionId, state: result?.state, isReplayed: true };
    }
    const answered =
      result !== undefined && isTerminal(result.state)
        ? { executionId, outcome: { ...result, state: result.state } }
        : await this.#await(executionId, call);
    return { ...answered, isReplayed: true };
  }
}

type Beginning = { readonly begun?: Begun; readonly end?: Promise<RunEnd> };
