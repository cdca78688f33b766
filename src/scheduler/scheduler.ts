// When an execution runs, who waits for it, who takes it over.
//
// Invariants: an asynchronous execution is committed before its id is returned. The process that accepts an execution
// runs it at once when it has a free slot; what is over waits in the database, and the queue there has a bound. A
// synchronous run is held in memory until it ends or grows old (`execution-run.ts`), and its id leaves only after its
// row is committed. Whoever holds an execution says so by a lease; the rescuer of any process takes up what nobody
// holds, so nothing accepted depends on this process living on.

import type { Logger } from "pino";
import type { Account } from "../domain/account.ts";
import type { Clock } from "../domain/clock.ts";
import { isTerminal, type Outcome } from "../domain/execution.ts";
import { newId } from "../domain/id.ts";
import type { Limits } from "../domain/limits.ts";
import type { Service } from "../domain/service.ts";
import type { Graph } from "../engine/graph.ts";
import type { HttpClient } from "../engine/http/http-client.ts";
import type { BoundExecution } from "../storage/begin.ts";
import type { ConfigStore } from "../storage/config-store.ts";
import type { ExecutionQuery, ExecutionReader } from "../storage/execution-reader.ts";
import type { ExecutionStore } from "../storage/execution-store.ts";
import type { Hints } from "../storage/hints.ts";
import type { LeaseStore } from "../storage/lease-store.ts";
import type { WorkflowStore } from "../storage/workflow-store.ts";
import { acceptOf } from "./accept.ts";
import { Again } from "./again.ts";
import type { Accept, ExecuteCall, Started } from "./execute-call.ts";
import type { ExecutionRun } from "./execution-run.ts";
import { Janitor } from "./janitor.ts";
import { Lease } from "./lease.ts";
import { Load } from "./load.ts";
import { admit, keysMissing, shuttingDown } from "./refusals.ts";
import { findRepeated, reuseRefusal } from "./repetition.ts";
import type { RequestRates } from "./request-rates.ts";
import { Rescuer } from "./rescuer.ts";
import { Runs } from "./runs.ts";
import { type Sealing, sealFlushes } from "./sealing.ts";
import { VersionCache } from "./version-cache.ts";
import { Waiters } from "./waiters.ts";

/** How long running executions may take to end when the process stops. */
const drainMs = 10_000;

export type SchedulerOptions = {
  readonly executions: ExecutionStore;
  readonly reader: ExecutionReader;
  readonly workflows: WorkflowStore;
  readonly configs: ConfigStore;
  readonly leases: LeaseStore;
  readonly sealing: Sealing;
  readonly hints: Pick<Hints, "tell" | "on">;
  readonly rates: RequestRates;
  /** Told where more may be recorded of executions: of these, or of any. */
  readonly onRecorded?: (ids: readonly string[] | undefined) => void;
  readonly isUnavailable: (error: unknown) => boolean;
  readonly http: Pick<HttpClient, "send">;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Logger;
};

export class Scheduler implements Service {
  readonly #options: SchedulerOptions;
  readonly #owner = newId();
  readonly #load: Load;
  readonly #runs: Runs;
  readonly #versions: VersionCache;
  readonly #again: Again;
  readonly #waiters: Waiters;
  readonly #lease: Lease;
  readonly #rescuer: Rescuer;
  readonly #janitor: Janitor;
  #isStopping = false;

  constructor(options: SchedulerOptions) {
    const { executions, reader, workflows, configs, leases, hints, onRecorded, limits, clock, log } = options;
    this.#options = options;
    this.#versions = new VersionCache({ workflows, limits });
    this.#again = new Again({ reader, workflows, configs, versions: this.#versions });
    this.#load = new Load(limits);
    this.#lease = new Lease({ leases, owner: this.#owner, load: this.#load, rates: options.rates, log });
    this.#runs = new Runs({
      ...options,
      load: this.#load,
      lease: this.#lease,
      owner: this.#owner,
      versions: this.#versions,
      onRecorded: (executionId) => onRecorded?.([executionId]),
      onLeft: (run, outcome) => {
        const { id } = run.execution;
        if (outcome !== undefined) this.#waiters.settle(id, outcome);
        if (outcome !== undefined && run.wasOwned) hints.tell("ended", id);
        this.#rescuer.wake();
      },
      onFailed: (claim, error) => this.#rescuer.putOff(claim, error),
    });
    this.#waiters = new Waiters({ executions, runs: this.#runs, clock, log });
    const onExpired = this.#endWith.bind(this);
    const parts = { owner: this.#owner, runs: this.#runs, load: this.#load, lease: this.#lease };
    this.#rescuer = new Rescuer({ ...options, ...parts, onExpired });
    this.#janitor = new Janitor({ executions, workflows, retentionMs: limits.retentionMs, log });
    hints.on("ended", (ids) => {
      this.#waiters.heed(ids);
      onRecorded?.(ids);
    });
    hints.on("queued", () => this.#rescuer.heed());
  }

  async start(): Promise<void> {
    await this.#lease.start();
    await this.#waiters.start();
    await this.#rescuer.start();
    await this.#janitor.start();
  }

  /** Takes up nothing more: what waits is for others. Calls are taken until `stop`. */
  async retire(): Promise<void> {
    await this.#rescuer.stop();
  }

  /** Takes no more calls, lets what runs end for a while, then hands the rest back. */
  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    await this.#janitor.stop();
    await this.#rescuer.stop();
    await this.#runs.drain(drainMs, this.#options.clock);
    await this.#waiters.stop();
    await this.#release();
    await this.#lease.stop();
  }

  /** Whether this process holds its lease and takes calls. */
  isReady(): boolean {
    return !this.#isStopping && this.#lease.isFresh();
  }

  /**
   * Accepts a call: looks up the version, admits, begins, and, for a synchronous call, waits for the end.
   * Throws RequestError; after one, nothing was accepted that the caller could have an id of.
   */
  async execute(call: ExecuteCall): Promise<Started> {
    if (this.#isStopping) throw shuttingDown();
    // Decided before anything is read where nothing can change it: whoever is sent away is so at once.
    const early = call.idempotencyKey === undefined && !this.#hasSlot(call) ? this.#load.refusal(call) : undefined;
    if (early !== undefined) throw early;
    const accept = await this.#admit(call).catch(async (refusal: unknown) => {
      const repeated = await findRepeated(call, refusal, this.#options);
      if (repeated === undefined) throw refusal;
      return repeated;
    });
    if (typeof accept === "string") return await this.#join(accept, call);
    if (this.#hasSlot(call) && call.type === "SYNC" && accept.idempotencyKey === undefined)
      return this.#runHeld(this.#runs.add(accept), call);
    const bound = await this.#begin(accept);
    return bound === undefined ? this.#await(accept.execution.id, call) : this.#replay(bound, accept, call);
  }

  async #admit(call: ExecuteCall): Promise<Accept> {
    const target = await this.#options.workflows.resolveCall(call);
    const graph = await this.#versions.get(call.environmentId, target.workflowId, target.version);
    admit(graph, call);
    this.#checkSealing(graph);
    return await acceptOf(call, target, graph, this.#options);
  }

  /** Begins an execution that is made of an earlier one; answers its id. Throws RequestError. */
  async beginAgain(make: (again: Again) => Promise<Accept>): Promise<string> {
    if (this.#isStopping) throw shuttingDown();
    const accept = await make(this.#again);
    this.#checkSealing(accept.graph);
    await this.#begin(accept);
    return accept.execution.id;
  }

  /** Waits for the end of an execution that the caller was found to own; undefined where it goes on for longer. */
  async waitForEnd(executionId: string, waitMs: number, signal: AbortSignal): Promise<Outcome | undefined> {
    return await this.#waiters.wait(executionId, waitMs, signal);
  }

  /**
   * Ends an execution from outside, and tells who runs it or waits for it, wherever that is. False: it has ended before,
   * or it is not found.
   */
  async stopExecution(query: ExecutionQuery): Promise<boolean> {
    const outcome: Outcome = {
      state: "STOPPED",
      error: { reason: "EXECUTION_STOPPED", message: "The execution was stopped." },
    };
    const isStopped = await this.#options.executions.stop({ ...query, outcome });
    if (isStopped) this.#endWith(query.executionId, outcome);
    return isStopped;
  }

  /** Tells who runs an execution, waits for it or watches it here that its end is committed. */
  #endWith(executionId: string, outcome: Outcome): void {
    this.#runs.endWith(executionId, outcome);
    this.#waiters.settle(executionId, outcome);
    this.#rescuer.wake();
    this.#options.onRecorded?.([executionId]);
    this.#options.hints.tell("ended", executionId);
  }

  /** Hands back what was cut short. Where the database is away, the lease that runs out says the same. */
  async #release(): Promise<void> {
    const { executions, isUnavailable } = this.#options;
    if (!this.#lease.isFresh()) return;
    try {
      await executions.release({ owner: this.#owner });
    } catch (error) {
      if (!isUnavailable(error)) throw error;
    }
  }

  #checkSealing(graph: Graph): void {
    if (graph.hidesNodes && !this.#options.sealing.canSeal) throw keysMissing();
  }

  #hasSlot(account: Account): boolean {
    return !this.#rescuer.isTrying && this.#load.hasSlot(account);
  }

  /** Answers the execution that the key stands for already, if there is one. */
  async #begin(accept: Accept): Promise<BoundExecution | undefined> {
    return this.#hasSlot(accept.execution) ? await this.#runOwned(accept) : await this.#enqueue(accept);
  }

  async #enqueue({ execution, graph, idempotencyKey, flushes }: Accept): Promise<BoundExecution | undefined> {
    const { executions, hints, sealing } = this.#options;
    const refusal = this.#load.refusal(execution);
    if (refusal !== undefined) {
      const bound = idempotencyKey && (await executions.findBound(execution, idempotencyKey.key));
      if (bound !== undefined) return bound;
      throw refusal;
    }
    this.#load.queue(execution);
    const key = graph.hidesNodes ? sealing.createKey(execution.id) : undefined;
    const sealed = key === undefined ? { flushes } : { flushes: sealFlushes(flushes ?? [], key), sealKey: key.wrapped };
    const bound = await executions.begin(execution, { idempotencyKey, ...sealed });
    hints.tell("queued");
    return bound;
  }

  async #runOwned({ idempotencyKey, flushes, ...start }: Accept): Promise<BoundExecution | undefined> {
    const run = this.#runs.add(start);
    let isBegun = false;
    try {
      const bound = await run.begin({ idempotencyKey, flushes });
      isBegun = bound === undefined;
      return bound;
    } finally {
      // After a fault the row may be committed all the same. Then it is owned by this process and runs nowhere, and the
      // rescuer, which sees that, takes it up.
      if (isBegun) void this.#runs.drive(run);
      else this.#runs.drop(run);
    }
  }

  /** Runs what is not committed yet; at the latest when its caller waits no longer it is. */
  async #runHeld(run: ExecutionRun, { waitMs = 0, signal }: ExecuteCall): Promise<Started> {
    const { id } = run.execution;
    const answered = new AbortController();
    const end = this.#runs.drive(run);
    const told = this.#waiters.wait(id, waitMs, AbortSignal.any([signal, answered.signal]));
    try {
      const outcome = await Promise.race([told, end.then((ended) => ended ?? (run.isCommitted ? told : undefined))]);
      if (outcome !== undefined) return { executionId: id, outcome };
      if (this.#isStopping && !run.isCommitted) throw shuttingDown();
      await run.begin();
      return { executionId: id, outcome: run.outcome };
    } finally {
      answered.abort();
    }
  }

  async #await(executionId: string, { waitMs, signal }: ExecuteCall): Promise<Started> {
    if (waitMs === undefined) return { executionId };
    return { executionId, outcome: await this.#waiters.wait(executionId, waitMs, signal) };
  }

  /** Answers what the key stands for, where the call is the same that it was bound by. */
  async #replay(bound: BoundExecution, { idempotencyKey }: Accept, call: ExecuteCall): Promise<Started> {
    if (bound.fingerprint !== idempotencyKey?.fingerprint) throw await reuseRefusal(bound, call, this.#options);
    return await this.#join(bound.executionId, call);
  }

  /** Joins the execution that an earlier call with the key started, or answers as it ended. */
  async #join(executionId: string, call: ExecuteCall): Promise<Started> {
    if (call.waitMs === undefined) return { executionId, isReplayed: true };
    const { environmentId, linkedAccountId } = call;
    const result = await this.#options.executions.getResult({ environmentId, linkedAccountId, executionId });
    const started =
      result !== undefined && isTerminal(result.state)
        ? { executionId, outcome: { ...result, state: result.state } }
        : await this.#await(executionId, call);
    return { ...started, isReplayed: true };
  }
}
