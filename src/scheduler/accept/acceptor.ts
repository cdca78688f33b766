import type { Account } from "../../domain/account.ts";
import { isTerminal } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import type { RequestError } from "../../domain/request-error.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import { answerAmong } from "../../engine/graph/recorded-answer.ts";
import type { ProcessPool } from "../../engine/pool/process-pool.ts";
import type { BoundExecution } from "../../storage/executions/begin-execution.ts";
import type { ExecutionStore } from "../../storage/executions/execution-store.ts";
import type { ExecutionReader } from "../../storage/history/execution-reader.ts";
import type { Notifier } from "../../storage/postgres/notifier.ts";
import type { ConfigStore } from "../../storage/tenants/config-store.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import { type Sealing, sealFlushes } from "../encryption/sealing.ts";
import type { Load } from "../limits/capacity.ts";
import type { DayBytes } from "../limits/daily-quota.ts";
import type { RecordMemory } from "../limits/memory-budget.ts";
import type { Rescuer } from "../rescue/rescuer.ts";
import type { Runs } from "../run/active-runs.ts";
import type { ExecutionRun } from "../run/execution-run.ts";
import type { VersionCache } from "../run/version-cache.ts";
import type { Waiters } from "../waiting/waiters.ts";
import { admit, keysMissing, shuttingDown } from "./call-errors.ts";
import type { Accept, ExecuteCall, Started } from "./execute-call.ts";
import { Again } from "./execution-factory.ts";
import { findRepeated, reuseRefusal } from "./idempotent-replay.ts";
import { acceptOf } from "./new-execution.ts";

export type AcceptorOptions = {
  readonly executions: ExecutionStore;
  readonly reader: ExecutionReader;
  readonly workflows: WorkflowStore;
  readonly configs: ConfigStore;
  readonly sealing: Sealing;
  readonly pool: Pick<ProcessPool, "run">;
  readonly notifier: Pick<Notifier, "notify">;
  readonly versions: VersionCache;
  readonly memory: RecordMemory;
  readonly runs: Runs;
  readonly load: Load;
  readonly dayBytes: DayBytes;
  readonly waiters: Waiters;
  readonly rescuer: Pick<Rescuer, "isTrying">;
  readonly limits: Limits;
};

/**
 * Accepts calls. An asynchronous execution is committed before its id is returned; it runs at once where its account has
 * a free slot, and is queued otherwise. A synchronous run is held in memory until it ends or grows old
 * (`execution-run.ts`), and its id leaves only after its row is committed.
 */
export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #again: Again;
  #isStopped = false;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#again = new Again(options);
  }

  /** Accepts nothing more. */
  stop(): void {
    this.#isStopped = true;
  }

  /** See Scheduler.execute. */
  async execute(call: ExecuteCall): Promise<Started> {
    if (this.#isStopped) throw shuttingDown();
    // Decided before anything is read where nothing can change it: whoever is sent away is so at once.
    const { runs, dayBytes } = this.#options;
    const early = call.idempotencyKey === undefined ? this.#earlyRefusal(call) : undefined;
    if (early !== undefined) throw early;
    const accept = await this.#admit(call).catch(async (refusal: unknown) => {
      const repeated = await findRepeated(call, refusal, this.#options);
      if (repeated === undefined) throw refusal;
      return repeated;
    });
    if (typeof accept === "string") return await this.#join(accept, call);
    if (this.#hasSlot(call) && call.type === "SYNC" && accept.idempotencyKey === undefined) {
      dayBytes.take(call);
      return this.#runHeld(runs.add(accept), call);
    }
    const bound = await this.#begin(accept);
    return bound === undefined ? this.#await(accept.execution.id, call) : this.#replay(bound, accept, call);
  }

  #earlyRefusal(call: ExecuteCall): RequestError | undefined {
    const { load, dayBytes } = this.#options;
    return dayBytes.refusal(call) ?? (this.#hasSlot(call) ? undefined : load.refusal(call));
  }

  async #admit(call: ExecuteCall): Promise<Accept> {
    const target = await this.#options.workflows.resolveCall(call);
    const graph = await this.#options.versions.get(call, target.workflowId, target.version);
    const checking = admit(graph, call, this.#options.pool);
    if (checking !== undefined) await checking;
    this.#checkSealing(graph);
    return await acceptOf(call, target, graph, this.#options);
  }

  /** See Scheduler.beginAgain. */
  async beginAgain(make: (again: Again) => Promise<Accept>): Promise<string> {
    if (this.#isStopped) throw shuttingDown();
    const accept = await make(this.#again);
    this.#checkSealing(accept.graph);
    await this.#begin(accept);
    return accept.execution.id;
  }

  #checkSealing(graph: Graph): void {
    if (graph.hidesNodes && !this.#options.sealing.canSeal) throw keysMissing();
  }

  #hasSlot(account: Account): boolean {
    return !this.#options.rescuer.isTrying && this.#options.load.hasSlot(account);
  }

  /** Answers the execution that the key stands for already, if there is one. */
  async #begin(accept: Accept): Promise<BoundExecution | undefined> {
    const { dayBytes } = this.#options;
    const { execution } = accept;
    const refusal = dayBytes.refusal(execution);
    if (refusal !== undefined) return await this.#findBound(accept, refusal);
    return await dayBytes.count(execution, () =>
      this.#hasSlot(execution) ? this.#runOwned(accept) : this.#enqueue(accept),
    );
  }

  /** Throws the refusal of a call where its key stands for nothing yet. */
  async #findBound({ execution, idempotencyKey }: Accept, refusal: RequestError): Promise<BoundExecution> {
    const bound = idempotencyKey && (await this.#options.executions.findBound(execution, idempotencyKey.key));
    if (bound === undefined) throw refusal;
    return bound;
  }

  async #enqueue(accept: Accept): Promise<BoundExecution | undefined> {
    const { execution, graph, idempotencyKey, flushes } = accept;
    const { executions, notifier, load, sealing } = this.#options;
    const refusal = load.refusal(execution);
    if (refusal !== undefined) return await this.#findBound(accept, refusal);
    const answer = answerAmong(
      graph,
      (flushes ?? []).flatMap(({ runs }) => runs),
    );
    const key = graph.hidesNodes ? sealing.createKey(execution.id) : undefined;
    const sealed =
      key === undefined
        ? { flushes }
        : { flushes: sealFlushes(flushes ?? [], key), sealKey: key.wrapped, sealedBy: sealing.keyName };
    const bound = await load.queue(execution, () => executions.begin(execution, { idempotencyKey, answer, ...sealed }));
    notifier.notify("queued");
    return bound;
  }

  async #runOwned({ idempotencyKey, flushes, ...start }: Accept): Promise<BoundExecution | undefined> {
    const { runs } = this.#options;
    const run = runs.add(start);
    let isBegun = false;
    try {
      const bound = await run.begin({ idempotencyKey, flushes });
      isBegun = bound === undefined;
      return bound;
    } finally {
      // After a fault the row may be committed all the same. Then it is owned by this process and runs nowhere, and the
      // rescuer, which sees that, takes it up.
      if (isBegun) void runs.drive(run);
      else runs.drop(run);
    }
  }

  /** Runs what is not committed yet; at the latest when its caller waits no longer it is. */
  async #runHeld(run: ExecutionRun, { waitMs = 0, signal, onWait }: ExecuteCall): Promise<Started> {
    const { id } = run.execution;
    onWait?.();
    const answered = new AbortController();
    const end = this.#options.runs.drive(run);
    const told = this.#options.waiters.wait(id, waitMs, AbortSignal.any([signal, answered.signal]));
    try {
      const outcome = await Promise.race([told, end.then((ended) => ended ?? (run.isCommitted ? told : undefined))]);
      if (outcome !== undefined) return { executionId: id, outcome };
      if (this.#isStopped && !run.isCommitted) throw shuttingDown();
      await run.begin();
      return { executionId: id, outcome: run.outcome };
    } finally {
      answered.abort(noLongerNeeded);
    }
  }

  async #await(executionId: string, { waitMs, signal, onWait }: ExecuteCall): Promise<Started> {
    if (waitMs === undefined) return { executionId };
    onWait?.();
    return { executionId, outcome: await this.#options.waiters.wait(executionId, waitMs, signal) };
  }

  /** Answers what the key stands for, where the call is the same that it was bound by. */
  async #replay(bound: BoundExecution, { idempotencyKey }: Accept, call: ExecuteCall): Promise<Started> {
    if (bound.fingerprint !== idempotencyKey?.fingerprint) throw await reuseRefusal(bound, call, this.#options);
    return await this.#join(bound.executionId, call);
  }

  /** Joins the execution that an earlier call with the key started, or answers as it ended. */
  async #join(executionId: string, call: ExecuteCall): Promise<Started> {
    const { organizationId, environmentId, linkedAccountId } = call;
    const query = { organizationId, environmentId, linkedAccountId, executionId };
    const result = await this.#options.executions.getResult(query);
    if (call.waitMs === undefined) return { executionId, state: result?.state, isReplayed: true };
    const started =
      result !== undefined && isTerminal(result.state)
        ? { executionId, outcome: { ...result, state: result.state } }
        : await this.#await(executionId, call);
    return { ...started, isReplayed: true };
  }
}
