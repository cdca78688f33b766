// When an execution runs, who waits for it, who takes it over.
//
// Invariants: an asynchronous execution is committed before its id is returned. The process that accepts an execution
// runs it at once when it has a free slot; what is over waits in the database, and the queue there has a bound. A
// synchronous run is held in memory until it ends or grows old (`execution-run.ts`), and its id leaves only after its
// row is committed. Whoever holds an execution says so by a lease; the rescuer of any process takes up what nobody
// holds, so nothing accepted depends on this process living on.

import type { Logger } from "pino";
import type { Clock } from "../domain/clock.ts";
import type { ExecutionType, NewExecution, Outcome } from "../domain/execution.ts";
import { newId } from "../domain/id.ts";
import { checkJson } from "../domain/json-check.ts";
import type { JsonText } from "../domain/json-text.ts";
import type { Limits } from "../domain/limits.ts";
import { RequestError } from "../domain/request-error.ts";
import type { Service } from "../domain/service.ts";
import type { WorkflowReference } from "../domain/workflow.ts";
import type { Graph } from "../engine/graph.ts";
import type { ClaimedExecution } from "../storage/claim.ts";
import type { ExecutionStore } from "../storage/execution-store.ts";
import type { LeaseStore } from "../storage/lease-store.ts";
import type { WorkflowStore } from "../storage/workflow-store.ts";
import { type Event, ExecutionRun, type ExecutionRunOptions, eventOf } from "./execution-run.ts";
import { Lease } from "./lease.ts";
import { Rescuer } from "./rescuer.ts";
import { VersionCache } from "./version-cache.ts";
import { Waiters } from "./waiters.ts";

/** How long running executions may take to end when the process stops. */
const drainMs = 10_000;

/** A call of ExecuteWorkflow in plain types. */
export type ExecuteCall = {
  readonly environmentId: string;
  readonly reference: WorkflowReference;
  readonly version?: number;
  readonly linkedAccountId: string;
  readonly configId?: string;
  readonly tag?: string;
  readonly type: ExecutionType;
  /** The text of `event.body`, checked. */
  readonly payload: JsonText;
  readonly event: Event;
};

/** What a call is told. Without an outcome the execution goes on: it is asynchronous, or the time to wait is spent. */
export type Started = { readonly executionId: string; readonly outcome?: Outcome };

export type SchedulerOptions = {
  readonly executions: ExecutionStore;
  readonly workflows: WorkflowStore;
  readonly leases: LeaseStore;
  readonly isUnavailable: (error: unknown) => boolean;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Logger;
};

export class Scheduler implements Service {
  readonly #options: SchedulerOptions;
  readonly #owner = newId();
  readonly #running = new Map<string, ExecutionRun>();
  readonly #ending = new Set<Promise<unknown>>();
  readonly #versions: VersionCache;
  readonly #waiters: Waiters;
  readonly #lease: Lease;
  readonly #rescuer: Rescuer;
  #isStopping = false;

  constructor(options: SchedulerOptions) {
    const { executions, workflows, leases, limits, clock, log } = options;
    this.#options = options;
    this.#versions = new VersionCache({ workflows, limits });
    this.#waiters = new Waiters({ executions, clock });
    this.#lease = new Lease({ leases, owner: this.#owner, log });
    this.#rescuer = new Rescuer({
      executions,
      owner: this.#owner,
      running: this.#running,
      slots: limits.slots,
      takeUp: (claimed) => this.#takeUp(claimed),
      log,
    });
  }

  async start(): Promise<void> {
    await this.#lease.start();
    await this.#rescuer.start();
  }

  /** Takes no more calls, lets what runs end for a while, then hands the rest back. */
  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    await this.#rescuer.stop();
    const drained = new AbortController();
    await Promise.race([
      Promise.all(this.#ending),
      this.#options.clock.wait(drainMs, drained.signal).catch(() => undefined),
    ]);
    drained.abort();
    for (const run of this.#running.values()) run.abandon();
    await Promise.all(this.#ending);
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
    const { workflows } = this.#options;
    const target = await workflows.resolveCall(call);
    const graph = await this.#versions.get(call.environmentId, target.workflowId, target.version);
    admit(graph, call);

    const execution: NewExecution = {
      id: newId(),
      environmentId: call.environmentId,
      workflowId: target.workflowId,
      version: target.version,
      linkedAccountId: target.linkedAccount.id,
      configId: call.configId ?? target.linkedAccount.id,
      ...(call.tag !== undefined && { tag: call.tag }),
      type: call.type,
      source: "API_CALL",
      payload: call.payload,
      headers: checkJson(call.event.headers, { name: "headers", limits: this.#options.limits.payload }),
    };
    if (this.#running.size >= this.#options.limits.slots) return this.#enqueue(execution);
    const run = this.#createRun({ execution, graph, linkedAccount: target.linkedAccount, event: call.event });
    return call.type === "SYNC" ? this.#runHeld(run) : this.#runOwned(run);
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

  async #enqueue(execution: NewExecution): Promise<Started> {
    const { executions, limits } = this.#options;
    if (this.#rescuer.queued >= limits.queueMax) {
      throw new RequestError("QUEUE_FULL", `${limits.queueMax} executions are queued already. Try again later.`, {
        metadata: { limit: "queue", value: String(limits.queueMax) },
        retryAfterSeconds: 1,
      });
    }
    this.#rescuer.queued += 1;
    await executions.begin(execution);
    return execution.type === "SYNC" ? this.#wait(execution) : { executionId: execution.id };
  }

  async #runOwned(run: ExecutionRun): Promise<Started> {
    this.#running.set(run.execution.id, run);
    try {
      await run.begin();
    } catch (error) {
      // The row may be committed all the same. Then it is owned by this process and runs nowhere, and the rescuer,
      // which sees that, takes it up.
      this.#running.delete(run.execution.id);
      throw error;
    }
    void this.#drive(run);
    return { executionId: run.execution.id };
  }

  async #runHeld(run: ExecutionRun): Promise<Started> {
    this.#running.set(run.execution.id, run);
    const end = this.#drive(run);
    const spent = new AbortController();
    try {
      const outcome = await Promise.race([
        end,
        this.#options.clock.wait(this.#options.limits.syncWaitMs, spent.signal),
      ]);
      if (outcome !== undefined) return { executionId: run.execution.id, outcome };
    } finally {
      spent.abort();
    }
    if (!run.isCommitted) throw this.#isStopping ? shuttingDown() : new Error("a held run ended without its commit");
    return run.isFenced ? this.#wait(run.execution) : { executionId: run.execution.id };
  }

  async #wait(execution: NewExecution): Promise<Started> {
    const outcome = await this.#waiters.wait(execution, this.#options.limits.syncWaitMs);
    return { executionId: execution.id, ...(outcome && { outcome }) };
  }

  /** Runs to the end and tells whoever waits. Rejects only for a held run that could not be committed. */
  #drive(run: ExecutionRun): Promise<Outcome | undefined> {
    const end = run.run().finally(() => {
      this.#running.delete(run.execution.id);
      this.#rescuer.wake();
    });
    const settled = end.then(
      (outcome) => outcome && this.#waiters.settle(run.execution.id, outcome),
      () => undefined,
    );
    this.#ending.add(settled);
    void settled.then(() => this.#ending.delete(settled));
    return end;
  }

  async #takeUp(claimed: ClaimedExecution): Promise<void> {
    const graph = await this.#versions.get(claimed.environmentId, claimed.workflowId, claimed.version);
    const { linkedAccount } = claimed;
    const run = this.#createRun({ execution: claimed, graph, linkedAccount, event: eventOf(claimed) });
    run.resume({ epoch: claimed.epoch, runs: claimed.runs, flushIndex: claimed.nextFlushIndex });
    this.#running.set(claimed.id, run);
    void this.#drive(run);
  }

  #createRun(start: Pick<ExecutionRunOptions, "execution" | "graph" | "linkedAccount" | "event">): ExecutionRun {
    return new ExecutionRun({ ...this.#options, ...start, owner: this.#owner });
  }
}

function admit(graph: Graph, call: ExecuteCall): void {
  if (!graph.hasApiCallTrigger) {
    throw new RequestError(
      "WORKFLOW_HAS_OTHER_TRIGGER",
      "The workflow is not started by API calls. Set the trigger of its Start node to `api_call` and publish it.",
    );
  }
  if (call.type === "SYNC" && graph.hasGroup) {
    throw new RequestError(
      "SYNC_NOT_ALLOWED_WITH_GROUP",
      "sync_execution is not allowed, since the workflow contains a Group node. Call it without sync_execution and " +
        "ask for the response by its execution id.",
    );
  }
}

function shuttingDown(): RequestError {
  return new RequestError("SHUTTING_DOWN", "This process is stopping. Try again.", { retryAfterSeconds: 1 });
}
