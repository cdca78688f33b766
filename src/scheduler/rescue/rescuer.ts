import { setImmediate as nextTurn } from "node:timers/promises";
import type { Logger } from "pino";
import type { Tenant } from "../../domain/account.ts";
import type { Clock } from "../../domain/clock.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Service } from "../../domain/service.ts";
import type { ClaimedExecution } from "../../storage/claims/claim-executions.ts";
import type { ClaimQueue } from "../../storage/claims/claim-queue.ts";
import type { ClaimStore } from "../../storage/claims/claim-store.ts";
import type { OwnerReaper } from "../../storage/claims/owner-reaper.ts";
import type { ChildStore } from "../../storage/executions/children.ts";
import type { Claim } from "../../storage/executions/execution-claim.ts";
import type { ExecutionStore } from "../../storage/executions/execution-store.ts";
import type { Expired } from "../../storage/executions/expire-executions.ts";
import { MissingKeyError } from "../encryption/sealing.ts";
import type { Capacity } from "../limits/capacity.ts";
import type { Lease } from "../process/lease.ts";
import { PeriodicTask } from "../process/periodic-task.ts";
import type { ActiveRuns } from "../run/active-runs.ts";
import { recordsTooLarge } from "../run/record-bytes.ts";
import type { SchedulerEvents } from "../run/scheduler-events.ts";
import { ClaimDeferral } from "./claim-deferral.ts";
import { Expiry } from "./expiry.ts";
import { FairQueueCursor } from "./fair-queue-cursor.ts";
import { correctForClockStep, releaseOrphans } from "./own-claims.ts";
import { type Quarantine, quarantineLeftMs } from "./quarantine.ts";

const everyMs = 500;

/**
 * A recount of the queue reads so many executions per sweep on average: a long queue is counted less often, at least every
 * 20th sweep. Until then this process does not know what others enqueue, and the queue may exceed its limit by that.
 */
const countedPerSweep = 5_000;
const sweepsPerCountMax = 20;

/** How many executions one statement claims. */
const batchMax = 64;

/** How many searches of the fair queue in a row may find nothing; the next run goes on from there. */
const emptySearchesMax = 20;

/** How many claimed executions begin to run before other work gets a turn of the event loop. */
const atOnce = 8;

export type RescuerOptions = {
  readonly executions: Pick<ExecutionStore, "expire">;
  readonly children: Pick<ChildStore, "finish">;
  readonly claims: ClaimStore;
  readonly queue: ClaimQueue;
  readonly reaper: OwnerReaper;
  readonly owner: string;
  readonly runs: Pick<ActiveRuns, "has" | "takeUp">;
  readonly capacity: Capacity;
  readonly lease: Pick<Lease, "isHeld" | "isSteady" | "databaseNow" | "clockSetMs" | "correctedClock">;
  readonly limits: Pick<Limits, "slots" | "queueMax" | "runMs" | "ageMs" | "recordsBytesMax">;
  readonly events: SchedulerEvents;
  readonly isUnavailable: (error: unknown) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
};

/**
 * Claims what nobody runs: queued executions, executions of dead owners, and orphans (claims of this process that no run
 * of it holds, since an answer was lost). It searches periodically, so that nothing depends on a notification.
 *
 * Poison: an execution whose owners died several times may be what kills them. Such a candidate is quarantined: over all
 * processes only one runs at a time, and its process begins nothing else meanwhile, so that another death convicts it.
 * Runs that were there before go on and are not blamed. A candidate that survives its quarantine is cleared.
 */
export class Rescuer implements Service {
  readonly #options: RescuerOptions;
  readonly #task: PeriodicTask;
  readonly #cursor = new FairQueueCursor();
  readonly #expiry: Expiry;
  /** How many sweeps go by before the queue is counted again. */
  #sweepsToCount = 0;
  #quarantine: Quarantine | undefined;
  readonly #deferral: ClaimDeferral;
  /** The monotonic time of the next sweep. */
  #sweepTime = Number.NEGATIVE_INFINITY;

  constructor(options: RescuerOptions) {
    const { executions, limits, clock, log } = options;
    this.#options = options;
    this.#deferral = new ClaimDeferral(options);
    this.#expiry = new Expiry({ executions, limits, log, onExpired: (id, end) => this.#announceEnd(id, end) });
    this.#task = new PeriodicTask({
      name: "rescuer",
      everyMs,
      runOnce: () => this.#runOnce(),
      dueInMs: () => Math.min(this.#sweepInMs, this.#quarantineLeftMs ?? everyMs),
      clock,
      log,
    });
  }

  async start(): Promise<void> {
    const { events, capacity, limits } = this.#options;
    // A slot or a place in the queue is free.
    const wake = () => {
      if (capacity.queued + capacity.candidates + this.#deferral.count > 0) {
        this.#task.wake();
      }
    };
    events.on("slotFreed", wake);
    events.on("ended", wake);
    events.on("queuedElsewhere", () => {
      if (capacity.running < limits.slots) {
        this.#task.wake();
      }
    });
    events.on("failed", (claim, error) => {
      this.#deferral.backOff(claim, error);
      wake();
    });
    await this.#task.start();
  }

  async stop(): Promise<void> {
    await this.#task.stop();
  }

  /** Whether a quarantined execution runs in this process, which begins nothing else then. */
  get isQuarantining(): boolean {
    return this.#quarantine !== undefined && this.#options.runs.has(this.#quarantine.executionId);
  }

  /** Claims what there are slots for. A sweep looks at everything else; it is due less often than slots become free. */
  async #runOnce(): Promise<void> {
    const isSweep = this.#sweepInMs <= 0;
    if (isSweep) {
      this.#sweepTime = this.#options.clock.monotonic() + everyMs;
      await this.#sweep();
    } else if (this.#expiry.hasMore) {
      await this.#expiry.endBatch(this.#steadyNow);
    }
    await this.#deferral.flush();
    await this.#endQuarantine();
    await this.#claim();
    if (isSweep) {
      await this.#countQueue();
    }
    // At once: expired executions of one organisation must delay neither those of another nor the claims in between.
    if (this.#expiry.hasMore) {
      this.#task.wake();
    }
  }

  async #sweep(): Promise<void> {
    const { reaper, owner } = this.#options;
    await correctForClockStep(this.#options);
    const now = this.#steadyNow;
    await this.#expiry.endBatch(now);
    await releaseOrphans(this.#options);
    if (now !== undefined) {
      await reaper.reap({ owner, now });
    }
  }

  /** The database's time; undefined while this process may not declare others dead. */
  get #steadyNow(): number | undefined {
    const { lease } = this.#options;
    return lease.isSteady() ? lease.databaseNow() : undefined;
  }

  async #countQueue(): Promise<void> {
    const { queue, capacity, limits, clock } = this.#options;
    const isCounted = this.#sweepsToCount <= 0;
    const takeCounts = capacity.beginRecount();
    const { queued, quarantined, organizations, dueInMs } = await queue.count(isCounted ? limits.queueMax : 0);
    if (!isCounted) {
      this.#sweepsToCount -= 1;
    } else if (takeCounts(queued)) {
      this.#sweepsToCount = Math.min(Math.floor(capacity.queued / countedPerSweep), sweepsPerCountMax);
    }
    capacity.candidates = quarantined;
    capacity.setOrganizations(organizations);
    // Jitter: not all processes sweep at the same moment.
    const nextMs = everyMs * (0.8 + 0.2 * Math.random());
    this.#sweepTime = clock.monotonic() + Math.min(dueInMs ?? nextMs, nextMs);
  }

  get #sweepInMs(): number {
    return Math.max(0, this.#sweepTime - this.#options.clock.monotonic());
  }

  /**
   * Claims queued executions, round-robin, until no slot is free, nothing is found, or a sweep is due. Without that last
   * condition dead owners would go unnoticed while executions end as fast as they are claimed.
   */
  async #claim(): Promise<void> {
    const { claims, queue, owner, capacity, lease, limits, clock } = this.#options;
    for (let empty = 0; empty < emptySearchesMax && !this.isQuarantining && lease.isHeld(); ) {
      const slots = Math.min(limits.slots - capacity.running, batchMax);
      if (slots <= 0) {
        break;
      }
      const { after, last } = this.#cursor.query;
      const found = await queue.nextAccounts({ after, last, limit: slots, full: capacity.full });
      const shares = capacity.share(this.#cursor.sort(found.accounts), slots);
      this.#cursor.advance(found, shares);
      const askTime = clock.monotonic();
      // Without shares too: candidates for quarantine stand beside the queue.
      const onUnread = (claim: Claim, error: unknown) => this.#deferral.backOff(claim, error);
      const claimed = await claims.claim({ owner, shares, onUnread });
      await this.#takeUpAll(claimed, clock.monotonic() - askTime);
      empty = claimed.length > 0 ? 0 : empty + 1;
      const isWhole = after === undefined && found.next === undefined && found.passed.length === 0;
      if (isWhole && claimed.length === 0) {
        break;
      }
      if (this.#sweepInMs <= 0) {
        this.#task.wake();
        break;
      }
    }
  }

  async #takeUpAll(claimed: readonly ClaimedExecution[], claimMs: number): Promise<void> {
    for (const [index, execution] of claimed.entries()) {
      await this.#takeUp(execution, claimMs);
      // Calls get a turn of the event loop in between.
      if (index % atOnce === atOnce - 1) {
        await nextTurn();
      }
    }
    await this.#deferral.flush();
  }

  async #takeUp(execution: ClaimedExecution, claimMs: number): Promise<void> {
    const { owner, runs, capacity, events, clock, log } = this.#options;
    const { id, environmentId, epoch, isQuarantined, quarantineRuns } = execution;
    const claim = { organizationId: execution.organizationId, environmentId, executionId: id, owner, epoch };
    capacity.dequeue(execution);
    if (isQuarantined) {
      log.warn({ executionId: id, epoch }, "an execution whose owners were lost is quarantined");
    }
    try {
      const taken = await runs.takeUp(execution);
      if (taken === "runs") {
        events.emit("claimed", execution);
      }
      if (taken === "no_room") {
        await this.#deferral.deferForMemory(claim);
      } else if (taken === "too_large") {
        await this.#endTooLarge(claim);
      } else if (isQuarantined) {
        this.#quarantine = { executionId: id, beginTime: clock.monotonic(), claimMs, survived: quarantineRuns };
        capacity.isQuarantining = () => this.isQuarantining;
      }
    } catch (error) {
      if (error instanceof MissingKeyError) {
        await this.#deferral.deferWithoutKey(claim, error);
      } else {
        this.#deferral.backOff(claim, error);
      }
      await this.#deferral.flush();
    }
  }

  /** An earlier version may have recorded more than one execution may have, and nobody can go on with that. */
  async #endTooLarge(claim: Claim & Tenant): Promise<void> {
    const { children, limits, log } = this.#options;
    const { reason, message } = recordsTooLarge(limits.recordsBytesMax);
    const outcome = { state: "ERRORED", error: { reason, message } } as const;
    const family = await children.finish({ ...claim, outcome });
    if (family !== undefined) {
      log.warn({ executionId: claim.executionId, reason }, "an execution is ended that could not end by itself");
      this.#announceEnd(claim.executionId, { outcome, ...family });
    }
  }

  /** Ends the run, where it is here, of an execution whose end this process has committed. */
  #announceEnd(executionId: string, { outcome, stopped, parentId }: Expired): void {
    const { events } = this.#options;
    events.emit("expired", outcome);
    events.emit("familyEnded", { stopped: [executionId, ...stopped], parentId });
  }

  get #quarantineLeftMs(): number | undefined {
    if (this.#quarantine === undefined) {
      return undefined;
    }
    const now = this.#options.clock.monotonic();
    return quarantineLeftMs(this.#quarantine, { now, candidates: this.#options.capacity.candidates });
  }

  async #endQuarantine(): Promise<void> {
    const { claims, owner } = this.#options;
    if (this.isQuarantining) {
      if (this.#quarantineLeftMs !== 0) {
        return;
      }
      await claims.clearQuarantine(owner);
    }
    this.#quarantine = undefined;
    this.#options.capacity.isQuarantining = undefined;
  }
}
