// When an execution runs, who waits for it, who takes it over.
//
// accept/ begins executions: at once where a slot is free, else in the queue. schedules/ does so without a call. run/ drives one execution and writes what it
// records. waiting/ serves callers and watchers. rescue/ claims what nobody runs. limits/ decides who may have more.
// process/ holds the lease by which others know that this process lives. encryption/ keeps secrets.
//
// The database has all that an accepted execution needs, and any process may go on with it: nothing depends on this one. The
// parts say what happens by `SchedulerEvents`, and call only those below them.

import type { Logger } from "pino";
import type { Clock } from "../domain/clock.ts";
import type { EventLoopYielder } from "../domain/event-loop-yielder.ts";
import type { ExecutionDetail, Outcome } from "../domain/execution.ts";
import { newId, timeOfId } from "../domain/id.ts";
import type { Limits } from "../domain/limits.ts";
import type { Service } from "../domain/service.ts";
import type { Definitions } from "../engine/definitions.ts";
import type { HttpClient } from "../engine/http/http-client.ts";
import type { ProcessPool } from "../engine/pool/process-pool.ts";
import type { ClaimQueue } from "../storage/claims/claim-queue.ts";
import type { ClaimStore } from "../storage/claims/claim-store.ts";
import type { LeaseStore } from "../storage/claims/lease-store.ts";
import type { OwnerReaper } from "../storage/claims/owner-reaper.ts";
import type { ChildStore } from "../storage/executions/children.ts";
import type { ExecutionStore } from "../storage/executions/execution-store.ts";
import type { HistoryDays } from "../storage/executions/history-days.ts";
import type { SignalStore } from "../storage/executions/signals.ts";
import type { ExecutionQuery, ExecutionReader } from "../storage/history/execution-reader.ts";
import type { Notifier } from "../storage/postgres/notifier.ts";
import type { DueSchedules } from "../storage/schedules/due-schedules.ts";
import type { ConfigStore } from "../storage/tenants/config-store.ts";
import type { DayBytesStore } from "../storage/tenants/daily-bytes-store.ts";
import type { DeliveryStore } from "../storage/webhooks/delivery-store.ts";
import type { WatchedEnvironments } from "../storage/webhooks/watched-environments.ts";
import type { DraftStore } from "../storage/workflows/draft-store.ts";
import type { WorkflowStore } from "../storage/workflows/workflow-store.ts";
import { Acceptor } from "./accept/acceptor.ts";
import { CallResolver } from "./accept/call-resolver.ts";
import { ChildResolver } from "./accept/child-resolver.ts";
import type { ExecuteCall, ExecuteResult, ExecutionRequest } from "./accept/execute-call.ts";
import type { ExecutionFactory } from "./accept/execution-factory.ts";
import type { Sealing } from "./encryption/sealing.ts";
import { Capacity } from "./limits/capacity.ts";
import { DailyQuota } from "./limits/daily-quota.ts";
import { MemoryBudget } from "./limits/memory-budget.ts";
import { Lease, type LeaseOptions } from "./process/lease.ts";
import { PeriodicTask } from "./process/periodic-task.ts";
import { Janitor } from "./rescue/janitor.ts";
import { Rescuer } from "./rescue/rescuer.ts";
import { announceQueued, announceSignal } from "./resume/announce-signal.ts";
import { NodeResumer, type Resumption } from "./resume/node-resumer.ts";
import { ActiveRuns } from "./run/active-runs.ts";
import type { RunContext } from "./run/execution-run.ts";
import type { SchedulerEvents } from "./run/scheduler-events.ts";
import type { VersionCache } from "./run/version-cache.ts";
import { begunAfterMs } from "./run/visits-under-way.ts";
import { ScheduleRunner } from "./schedules/schedule-runner.ts";
import { Waiters } from "./waiting/waiters.ts";
import { DeliveryRunner } from "./webhooks/delivery-runner.ts";

/** Graceful shutdown: how long running executions may take to end. */
const drainMs = 10_000;

export type SchedulerOptions = {
  readonly executions: ExecutionStore;
  readonly claims: ClaimStore;
  readonly signals: SignalStore;
  readonly children: ChildStore;
  readonly queue: ClaimQueue;
  readonly reaper: OwnerReaper;
  readonly reader: ExecutionReader;
  readonly workflows: WorkflowStore;
  readonly drafts: DraftStore;
  readonly versions: VersionCache;
  readonly configs: ConfigStore;
  readonly leases: LeaseStore;
  readonly dayBytes: DayBytesStore;
  readonly dueSchedules: DueSchedules;
  readonly deliveries: DeliveryStore;
  readonly watchedEnvironments: WatchedEnvironments;
  readonly days: HistoryDays;
  readonly sealing: Sealing;
  readonly notifier: Pick<Notifier, "notify" | "listen">;
  readonly events: SchedulerEvents;
  readonly rates: LeaseOptions["rates"];
  readonly isUnavailable: (error: unknown) => boolean;
  readonly http: Pick<HttpClient, "send">;
  readonly pool: Pick<ProcessPool, "run">;
  readonly yielder: EventLoopYielder;
  readonly definitions: Definitions;
  readonly onRecord?: RunContext["onRecord"] | undefined;
  readonly callbackUrl: RunContext["callbackUrl"];
  readonly openConnection: RunContext["openConnection"];
  readonly readVariables: RunContext["readVariables"];
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Logger;
};

export class Scheduler implements Service {
  readonly #options: SchedulerOptions;
  readonly #owner = newId();
  readonly #lease: Lease;
  readonly #capacity: Capacity;
  readonly #dailyQuota: DailyQuota;
  readonly #runs: ActiveRuns;
  readonly #waiters: Waiters;
  readonly #rescuer: Rescuer;
  readonly #acceptor: Acceptor;
  readonly #janitor: Janitor;
  readonly #resumer: NodeResumer;
  readonly #begins: PeriodicTask;
  readonly #schedules: ScheduleRunner;
  readonly #deliveries: DeliveryRunner;
  #isStopping = false;

  constructor(options: SchedulerOptions) {
    const { versions, leases, dayBytes, rates, limits, clock, log } = options;
    this.#options = options;
    const owner = this.#owner;
    const capacity = new Capacity(limits);
    const lease = new Lease({ leases, owner, capacity, rates, clock, log });
    const memory = new MemoryBudget(limits);
    const databaseNow = () => lease.databaseNow() ?? clock.now();
    const children = new ChildResolver({ ...options, resolver: new CallResolver({ ...options, databaseNow }) });
    const resolveChild: RunContext["resolveChild"] = (...request) => children.resolve(...request);
    const runs = new ActiveRuns({ ...options, owner, lease, memory, versions, capacity, resolveChild });
    const waiters = new Waiters({ ...options, runs });
    const rescuer = new Rescuer({ ...options, owner, runs, capacity, lease });
    const dailyQuota = new DailyQuota({ store: dayBytes, limits, now: databaseNow, clock, log });
    this.#lease = lease;
    this.#capacity = capacity;
    this.#dailyQuota = dailyQuota;
    this.#runs = runs;
    this.#waiters = waiters;
    this.#rescuer = rescuer;
    this.#acceptor = new Acceptor({
      ...options,
      databaseNow,
      memory,
      runs,
      capacity,
      dailyQuota: limits.environmentDayBytesMax > 0 ? dailyQuota : undefined,
      waiters,
    });
    this.#resumer = new NodeResumer(options);
    const onMissed = (parentId: string) => void options.events.emit("familyEnded", { stopped: [], parentId });
    this.#janitor = new Janitor({ ...options, onMissed, retentionMs: limits.retentionMs, clock, log });
    const enqueue: Acceptor["enqueueOnce"] = (...call) => this.#acceptor.enqueueOnce(...call);
    this.#schedules = new ScheduleRunner({ ...options, enqueue });
    this.#deliveries = new DeliveryRunner({ ...options, retentionMs: limits.retentionMs });
    const runOnce = async () => runs.recordBegun();
    this.#begins = new PeriodicTask({ name: "begins", everyMs: begunAfterMs, runOnce, clock, log });
  }

  async start(): Promise<void> {
    this.#connectNotifier();
    await this.#lease.start();
    await this.#dailyQuota.start();
    await this.#waiters.start();
    await this.#rescuer.start();
    await this.#janitor.start();
    await this.#begins.start();
    await this.#schedules.start();
    await this.#deliveries.start();
  }

  /** Claims nothing more: what is queued is for other processes. Calls are accepted until `stop`. */
  async retire(): Promise<void> {
    await this.#schedules.stop();
    await this.#rescuer.stop();
  }

  /** Accepts no more calls, lets runs end for a while, then gives the rest back. */
  async stop(): Promise<void> {
    if (this.#isStopping) {
      return;
    }
    this.#isStopping = true;
    this.#acceptor.stop();
    await this.#schedules.stop();
    await this.#deliveries.stop();
    await this.#janitor.stop();
    await this.#rescuer.stop();
    await this.#runs.drain(drainMs, this.#options.clock);
    await this.#begins.stop();
    await this.#dailyQuota.stop();
    await this.#waiters.stop();
    await this.#release();
    await this.#lease.stop();
  }

  /** Whether this process holds its lease and takes calls. */
  isReady(): boolean {
    return !this.#isStopping && this.#lease.isFresh();
  }

  /** How busy this process is, for metrics. The queue is that of all processes. */
  get load(): { readonly running: number; readonly queued: number; readonly leaseAgeMs: number } {
    const { running, queued } = this.#capacity;
    return { running, queued, leaseAgeMs: this.#lease.ageMs };
  }

  /** See `Acceptor.execute`. */
  async execute(call: ExecuteCall): Promise<ExecuteResult> {
    return await this.#acceptor.execute(call);
  }

  /** Begins an execution that the factory makes: a rerun, a retry, a test of a draft. Answers its id. Throws RequestError. */
  async submit(make: (factory: ExecutionFactory) => Promise<ExecutionRequest>): Promise<string> {
    return await this.#acceptor.submit(make);
  }

  /** Waits for the end of an execution that the caller may read; undefined where it goes on for longer. */
  async waitForEnd(executionId: string, waitMs: number, signal: AbortSignal): Promise<Outcome | undefined> {
    return await this.#waiters.wait(executionId, waitMs, signal);
  }

  /** Ends an execution from outside, wherever it runs. Undefined: it has ended before, or it is not found. */
  async stopExecution(query: ExecutionQuery): Promise<ExecutionDetail | undefined> {
    const end: Outcome = {
      state: "STOPPED",
      error: { reason: "EXECUTION_STOPPED", message: "The execution was stopped." },
    };
    const stopped = await this.#options.executions.stop({ ...query, outcome: end });
    if (stopped === undefined) {
      return undefined;
    }
    const { id, response, statusCode } = stopped;
    const outcome = {
      ...(response !== undefined && { response }),
      ...(statusCode !== undefined && { statusCode }),
      ...end,
    };
    const { events, clock } = this.#options;
    this.#runs.supersede(id, outcome);
    events.emit("finished", { execution: { ...stopped, ...query, id }, outcome, ms: clock.now() - timeOfId(id) });
    events.emit("ended", { executionId: id, outcome, wasOwned: true });
    events.emit("familyEnded", stopped);
    return stopped;
  }

  /** Ends the wait of a node, or the one that it will come to: see `NodeResumer.resume`. */
  async resumeNode(query: ExecutionQuery, resumption: Resumption): Promise<string> {
    return await this.#resumer.resume(query, resumption);
  }

  /** Passes events on between this process and the others. */
  #connectNotifier(): void {
    const { notifier, events } = this.#options;
    notifier.listen("ended", (ids) => events.emit("endedElsewhere", ids));
    notifier.listen("signals", (ids) => events.emit("signalled", ids));
    events.on("signalled", (ids) => {
      for (const id of ids ?? [undefined]) {
        this.#runs.signalled(id);
      }
    });
    events.on("familyEnded", ({ stopped, parentId }) => {
      for (const executionId of stopped) {
        this.#runs.supersede(executionId);
        events.emit("ended", { executionId, outcome: undefined, wasOwned: true });
      }
      if (parentId !== undefined) {
        announceSignal(this.#options, parentId);
      }
    });
    events.on("childBegun", (execution) => {
      events.emit("accepted", execution);
      announceQueued(this.#options);
    });
    notifier.listen("webhooks", () => this.#deliveries.wake());
    notifier.listen("queued", () => events.emit("queuedElsewhere"));
    events.on("ended", ({ executionId, wasOwned }) => {
      if (wasOwned) {
        notifier.notify("ended", executionId);
      }
    });
  }

  /** Gives back what was abandoned. Where the database is away, others take it over when the lease expires. */
  async #release(): Promise<void> {
    const { claims, isUnavailable } = this.#options;
    if (!this.#lease.isFresh()) {
      return;
    }
    try {
      await claims.release({ owner: this.#owner });
    } catch (error) {
      if (!isUnavailable(error)) {
        throw error;
      }
    }
  }
}
