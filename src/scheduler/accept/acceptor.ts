import type { Account } from "../../domain/account.ts";
import type { Clock } from "../../domain/clock.ts";
import { valueWithin } from "../../domain/deadline.ts";
import { isTerminal, type Outcome } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import type { RequestError } from "../../domain/request-error.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import { answerAmong } from "../../engine/graph/recorded-answer.ts";
import type { ProcessPool } from "../../engine/pool/process-pool.ts";
import type { BoundExecution } from "../../storage/executions/begin-execution.ts";
import type { ExecutionReader } from "../../storage/history/execution-reader.ts";
import type { Notifier } from "../../storage/postgres/notifier.ts";
import type { ConfigStore } from "../../storage/tenants/config-store.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import type { Sealing } from "../encryption/sealing.ts";
import type { Capacity } from "../limits/capacity.ts";
import type { DailyQuota } from "../limits/daily-quota.ts";
import type { MemoryBudget } from "../limits/memory-budget.ts";
import type { Rescuer } from "../rescue/rescuer.ts";
import type { ActiveRuns } from "../run/active-runs.ts";
import type { ExecutionRecords } from "../run/execution-log.ts";
import type { ExecutionRun } from "../run/execution-run.ts";
import type { RunEnd } from "../run/run-state.ts";
import { sealBegin } from "../run/sealed-records.ts";
import type { VersionCache } from "../run/version-cache.ts";
import type { Waiters } from "../waiting/waiters.ts";
import { admitCall } from "./admit-call.ts";
import { keysMissing, shuttingDown } from "./call-errors.ts";
import type { ExecuteCall, ExecuteResult, ExecutionRequest } from "./execute-call.ts";
import { ExecutionFactory } from "./execution-factory.ts";
import { requestOf } from "./execution-request.ts";
import { findReplayed, keyReuseError } from "./idempotent-replay.ts";

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
  readonly dailyQuota: DailyQuota;
  readonly waiters: Waiters;
  readonly rescuer: Pick<Rescuer, "isQuarantining">;
  readonly limits: Limits;
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
  #isStopped = false;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#factory = new ExecutionFactory(options);
  }

  /** Accepts nothing more. */
  stop(): void {
    this.#isStopped = true;
  }

  /**
   * Accepts a call: looks up the version, admits the call, begins the execution, and waits where the call does. Throws
   * RequestError; then nothing was accepted that the caller could have an id of.
   */
  async execute(call: ExecuteCall): Promise<ExecuteResult> {
    if (this.#isStopped) {
      throw shuttingDown();
    }
    const { runs, dailyQuota } = this.#options;
    // Load shedding comes before any statement. A call with a key may be a replay, which no limit concerns.
    const overload = call.idempotencyKey === undefined ? this.#overloadError(call) : undefined;
    if (overload !== undefined) {
      throw overload;
    }
    const request = await this.#admit(call).catch(async (error: unknown) => {
      const replayedId = await findReplayed(call, error, this.#options);
      if (replayedId === undefined) {
        throw error;
      }
      return replayedId;
    });
    if (typeof request === "string") {
      return await this.#join(request, call);
    }
    if (call.type === "SYNC" && request.idempotencyKey === undefined && this.#hasSlot(call)) {
      dailyQuota.take(call);
      return await this.#runHeld(runs.add(request), call);
    }
    const begun = await this.#begin(request);
    if (begun.bound !== undefined) {
      return await this.#replay(begun.bound, request, call);
    }
    return await this.#await(request.execution.id, call, begun.end);
  }

  /** Begins an execution that the factory makes (a rerun, a retry, a test of a draft); answers its id. Throws RequestError. */
  async submit(make: (factory: ExecutionFactory) => Promise<ExecutionRequest>): Promise<string> {
    if (this.#isStopped) {
      throw shuttingDown();
    }
    const request = await make(this.#factory);
    this.#checkSealing(request.graph);
    await this.#begin(request);
    return request.execution.id;
  }

  #overloadError(call: ExecuteCall): RequestError | undefined {
    const { capacity, dailyQuota } = this.#options;
    return dailyQuota.errorFor(call) ?? (this.#hasSlot(call) ? undefined : capacity.queueError(call));
  }

  async #admit(call: ExecuteCall): Promise<ExecutionRequest> {
    const target = await this.#options.workflows.resolveCall(call);
    const graph = await this.#options.versions.get(call, target.workflowId, target.version);
    const checking = admitCall(graph, call, this.#options.pool);
    if (checking !== undefined) {
      await checking;
    }
    this.#checkSealing(graph);
    return await requestOf(call, target, graph, this.#options);
  }

  #checkSealing(graph: Graph): void {
    if (graph.hidesNodes && !this.#options.sealing.canSeal) {
      throw keysMissing();
    }
  }

  #hasSlot(account: Account): boolean {
    return !this.#options.rescuer.isQuarantining && this.#options.capacity.hasSlot(account);
  }

  /** Answers the execution that the key stands for already, if there is one, or the end of the run, if it runs here. */
  async #begin(request: ExecutionRequest): Promise<Begun> {
    const { dailyQuota } = this.#options;
    const { execution } = request;
    const error = dailyQuota.errorFor(execution);
    if (error !== undefined) {
      return { bound: await this.#findBound(request, error) };
    }
    let end: Promise<RunEnd> | undefined;
    const bound = await dailyQuota.count(execution, async () => {
      if (!this.#hasSlot(execution)) {
        return await this.#enqueue(request);
      }
      const begun = await this.#runOwned(request);
      end = begun.end;
      return begun.bound;
    });
    return { bound, end };
  }

  /** Throws the error where the key stands for nothing yet. */
  async #findBound({ execution, idempotencyKey }: ExecutionRequest, error: RequestError): Promise<BoundExecution> {
    const bound = idempotencyKey && (await this.#options.executions.findBound(execution, idempotencyKey.key));
    if (bound === undefined) {
      throw error;
    }
    return bound;
  }

  async #enqueue(request: ExecutionRequest): Promise<BoundExecution | undefined> {
    const { execution, graph, idempotencyKey, flushes = [] } = request;
    const { executions, notifier, capacity, sealing } = this.#options;
    const error = capacity.queueError(execution);
    if (error !== undefined) {
      return await this.#findBound(request, error);
    }
    const answer = answerAmong(
      graph,
      flushes.flatMap(({ runs }) => runs),
    );
    const { dataKey: _, ...sealed } = sealBegin({ execution, flushes, hidesNodes: graph.hidesNodes, sealing });
    const begin = { idempotencyKey, answer, ...sealed };
    const bound = await capacity.enqueue(execution, () => executions.begin(execution, begin));
    notifier.notify("queued");
    return bound;
  }

  async #runOwned({ idempotencyKey, flushes, ...start }: ExecutionRequest): Promise<Begun> {
    const { runs } = this.#options;
    const run = runs.add(start);
    let isBegun = false;
    try {
      const bound = await run.begin({ idempotencyKey, flushes });
      isBegun = bound === undefined;
      return isBegun ? { bound, end: runs.drive(run) } : { bound };
    } finally {
      // After a fault the row may be committed all the same. This process owns it then and does not run it (an orphan), and
      // the rescuer finds that.
      if (!isBegun) {
        runs.drop(run);
      }
    }
  }

  /** Runs what has no row yet. It gets one at the latest when its caller stops waiting. */
  async #runHeld(run: ExecutionRun, call: ExecuteCall): Promise<ExecuteResult> {
    const { runs, clock } = this.#options;
    const { waitMs: ms = 0, signal, onWait } = call;
    const { id: executionId } = run.execution;
    onWait?.();
    const deadline = clock.monotonic() + ms;
    const end = await valueWithin(ms, runs.drive(run), { signal, clock });
    if (end?.kind === "FAILED") {
      throw end.error;
    }
    if (end?.kind === "ABANDONED" && !end.wasOwned) {
      throw shuttingDown();
    }
    if (end !== undefined) {
      return { executionId, outcome: await this.#outcomeOf(executionId, end, { deadline, signal }) };
    }
    if (this.#isStopped && run.state.kind === "HELD") {
      throw shuttingDown();
    }
    await run.begin();
    const { state } = run;
    return { executionId, outcome: "outcome" in state ? state.outcome : undefined };
  }

  /** How an execution ended whose run here has ended. One that goes on elsewhere is waited for until the deadline. */
  async #outcomeOf(
    executionId: string,
    end: RunEnd,
    { deadline, signal }: { readonly deadline: number; readonly signal: AbortSignal },
  ): Promise<Outcome | undefined> {
    if ("outcome" in end && end.outcome !== undefined) {
      return end.outcome;
    }
    const { waiters, clock } = this.#options;
    const ended = waiters.wait(executionId, Math.max(0, deadline - clock.monotonic()), signal);
    // Whoever took it over may have ended it before this began to wait.
    if (end.kind !== "ASLEEP") {
      waiters.check([executionId]);
    }
    return await ended;
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
    return { executionId, outcome: end && (await this.#outcomeOf(executionId, end, { deadline, signal })) };
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

type Begun = { readonly bound?: BoundExecution | undefined; readonly end?: Promise<RunEnd> | undefined };
