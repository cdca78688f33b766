// When an execution runs, who waits for it, who takes it over.
//
// The process that accepts an execution (`acceptor.ts`) runs it at once when it has a free slot; what is over waits in the
// database, where the rescuers of all processes take it up by turns. Whoever holds an execution says so by a lease; the
// rescuer of any process takes up what nobody holds, so nothing accepted depends on this process living on.

import type { Logger } from "pino";
import type { Clock } from "../domain/clock.ts";
import type { Outcome } from "../domain/execution.ts";
import { newId } from "../domain/id.ts";
import type { Limits } from "../domain/limits.ts";
import type { Service } from "../domain/service.ts";
import type { Definitions } from "../engine/definitions.ts";
import type { HttpClient } from "../engine/http/http-client.ts";
import type { ProcessPool } from "../engine/pool/process-pool.ts";
import type { Turns } from "../engine/run/yield-to-event-loop.ts";
import type { ClaimQueue } from "../storage/claims/claim-queue.ts";
import type { ClaimStore } from "../storage/claims/claim-store.ts";
import type { LeaseStore } from "../storage/claims/lease-store.ts";
import type { OwnerReaper } from "../storage/claims/owner-reaper.ts";
import type { ExecutionStore } from "../storage/executions/execution-store.ts";
import type { ExecutionQuery, ExecutionReader } from "../storage/history/execution-reader.ts";
import type { Notifier } from "../storage/postgres/notifier.ts";
import type { ConfigStore } from "../storage/tenants/config-store.ts";
import type { DayBytesStore } from "../storage/tenants/daily-bytes-store.ts";
import type { WorkflowStore } from "../storage/workflows/workflow-store.ts";
import { Acceptor } from "./accept/acceptor.ts";
import type { Accept, ExecuteCall, Started } from "./accept/execute-call.ts";
import type { Again } from "./accept/execution-factory.ts";
import type { Sealing } from "./encryption/sealing.ts";
import { Load } from "./limits/capacity.ts";
import { DayBytes } from "./limits/daily-quota.ts";
import { RecordMemory } from "./limits/memory-budget.ts";
import type { RequestRates } from "./limits/request-rates.ts";
import { Lease } from "./process/lease.ts";
import { Loop } from "./process/periodic-task.ts";
import { Janitor } from "./rescue/janitor.ts";
import { Rescuer } from "./rescue/rescuer.ts";
import { Runs } from "./run/active-runs.ts";
import { VersionCache } from "./run/version-cache.ts";
import { begunAfterMs } from "./run/visits-under-way.ts";
import { Waiters } from "./waiting/waiters.ts";

/** How long running executions may take to end when the process stops. */
const drainMs = 10_000;

export type SchedulerOptions = {
  readonly executions: ExecutionStore;
  readonly claims: ClaimStore;
  readonly queue: ClaimQueue;
  readonly reaper: OwnerReaper;
  readonly reader: ExecutionReader;
  readonly workflows: WorkflowStore;
  readonly configs: ConfigStore;
  readonly leases: LeaseStore;
  readonly dayBytes: DayBytesStore;
  readonly sealing: Sealing;
  readonly notifier: Pick<Notifier, "notify" | "listen">;
  readonly rates: RequestRates;
  /** Told where more may be recorded of executions: of these, or of any. */
  readonly onRecorded?: (ids: readonly string[] | undefined) => void;
  readonly isUnavailable: (error: unknown) => boolean;
  readonly http: Pick<HttpClient, "send">;
  readonly pool: Pick<ProcessPool, "run">;
  readonly turns: Turns;
  readonly definitions: Definitions;
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
  readonly #acceptor: Acceptor;
  readonly #waiters: Waiters;
  readonly #lease: Lease;
  readonly #dayBytes: DayBytes;
  readonly #rescuer: Rescuer;
  readonly #janitor: Janitor;
  readonly #begins: Loop;
  #isStopping = false;

  constructor(options: SchedulerOptions) {
    const { executions, workflows, leases, notifier, onRecorded, limits, clock, log } = options;
    this.#options = options;
    this.#versions = new VersionCache({ workflows, definitions: options.definitions, limits });
    this.#load = new Load(limits);
    this.#lease = new Lease({ leases, owner: this.#owner, load: this.#load, rates: options.rates, log });
    const memory = new RecordMemory(limits);
    this.#runs = new Runs({
      ...options,
      memory,
      load: this.#load,
      lease: this.#lease,
      owner: this.#owner,
      versions: this.#versions,
      onRecorded: (executionId) => onRecorded?.([executionId]),
      onLeft: (run, outcome) => {
        const { id } = run.execution;
        if (outcome !== undefined) this.#waiters.settle(id, outcome);
        if (outcome !== undefined && run.wasOwned) notifier.notify("ended", id);
        this.#rescuer.wake();
      },
      onFailed: (claim, error) => this.#rescuer.putOff(claim, error),
    });
    this.#waiters = new Waiters({ executions, runs: this.#runs, clock, log });
    const onExpired = this.#cut.bind(this);
    const parts = { memory, runs: this.#runs, load: this.#load, waiters: this.#waiters, versions: this.#versions };
    this.#rescuer = new Rescuer({ ...options, ...parts, owner: this.#owner, lease: this.#lease, onExpired });
    const now = () => this.#lease.databaseNow() ?? clock.now();
    this.#dayBytes = new DayBytes({ store: options.dayBytes, limits, now, log });
    this.#acceptor = new Acceptor({ ...options, ...parts, dayBytes: this.#dayBytes, rescuer: this.#rescuer });
    const { retentionMs } = limits;
    this.#janitor = new Janitor({ executions, workflows, dayBytes: options.dayBytes, retentionMs, log });
    const turn = async () => this.#runs.recordBegun();
    this.#begins = new Loop({ name: "begins", everyMs: begunAfterMs, turn, log });
    notifier.listen("ended", (ids) => {
      this.#waiters.heed(ids);
      onRecorded?.(ids);
    });
    notifier.listen("queued", () => this.#rescuer.heed());
  }

  async start(): Promise<void> {
    await this.#lease.start();
    await this.#dayBytes.start();
    await this.#waiters.start();
    await this.#rescuer.start();
    await this.#janitor.start();
    await this.#begins.start();
  }

  /** Takes up nothing more: what waits is for others. Calls are taken until `stop`. */
  async retire(): Promise<void> {
    await this.#rescuer.stop();
  }

  /** Takes no more calls, lets what runs end for a while, then hands the rest back. */
  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#acceptor.stop();
    await this.#janitor.stop();
    await this.#rescuer.stop();
    await this.#runs.drain(drainMs, this.#options.clock);
    await this.#begins.stop();
    await this.#dayBytes.stop();
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
    return await this.#acceptor.execute(call);
  }

  /** Begins an execution that is made of an earlier one; answers its id. Throws RequestError. */
  async beginAgain(make: (again: Again) => Promise<Accept>): Promise<string> {
    return await this.#acceptor.beginAgain(make);
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
    const outcome = await this.#options.executions.stop({
      ...query,
      outcome: { state: "STOPPED", error: { reason: "EXECUTION_STOPPED", message: "The execution was stopped." } },
    });
    if (outcome === undefined) return false;
    const { executionId } = query;
    this.#runs.endWith(executionId, outcome);
    this.#waiters.settle(executionId, outcome);
    this.#tellEnd(executionId);
    return true;
  }

  /** Ends the run here, if there is one, of an execution whose end is committed; who waits for it is told what is read. */
  #cut(executionId: string): void {
    this.#runs.cut(executionId);
    this.#waiters.heed([executionId]);
    this.#tellEnd(executionId);
  }

  /** Tells who may take up something else now, and who watches, that an end is committed. */
  #tellEnd(executionId: string): void {
    this.#rescuer.wake();
    this.#options.onRecorded?.([executionId]);
    this.#options.notifier.notify("ended", executionId);
  }

  /** Hands back what was cut short. Where the database is away, the lease that runs out says the same. */
  async #release(): Promise<void> {
    const { claims, isUnavailable } = this.#options;
    if (!this.#lease.isFresh()) return;
    try {
      await claims.release({ owner: this.#owner });
    } catch (error) {
      if (!isUnavailable(error)) throw error;
    }
  }
}
