import { setImmediate as nextTurn } from "node:timers/promises";
import type { Logger } from "pino";
import type { Tenant } from "../../domain/account.ts";
import type { Outcome } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Service } from "../../domain/service.ts";
import { recordsTooLarge } from "../../engine/journal/record-bytes.ts";
import type { ClaimedExecution } from "../../storage/claims/claim-executions.ts";
import type { ClaimQueue } from "../../storage/claims/claim-queue.ts";
import type { ClaimStore } from "../../storage/claims/claim-store.ts";
import type { OwnerReaper } from "../../storage/claims/owner-reaper.ts";
import type { Claim } from "../../storage/executions/execution-claim.ts";
import type { ExecutionStore } from "../../storage/executions/execution-store.ts";
import { isTimedOut } from "../../storage/postgres/database-errors.ts";
import { KeyMissing } from "../encryption/sealing.ts";
import type { Load } from "../limits/capacity.ts";
import type { Lease } from "../process/lease.ts";
import { Loop } from "../process/periodic-task.ts";
import type { Runs } from "../run/active-runs.ts";
import { Expiry } from "./expiry.ts";
import { SlotTurns } from "./fair-queue-cursor.ts";
import { leftOf, type Trial } from "./quarantine.ts";

const everyMs = 500;

/**
 * How many of the queue a sweep counts, on average: a long queue is counted more seldom, at the least every 20 sweeps.
 * Up to then what others accept is not known here, and that is how far the queue may grow beyond its bound.
 */
const countedPerSweep = 5_000;
const uncountedMax = 20;

/** How many executions are claimed by one statement at most. */
const batchMax = 64;

/** How many statements in a row may find nothing, where there is more to look at; the next turn goes on there. */
const inVainMax = 20;

/** How many of them begin to run before the process does other work. */
const atOnce = 8;

/** How long an execution is put off that there is no room for in memory, and one whose key is not there; up to twice that. */
const noRoomMs = 2_000;
const keyMissingMs = 120_000;

export type RescuerOptions = {
  readonly executions: ExecutionStore;
  readonly claims: ClaimStore;
  readonly queue: ClaimQueue;
  readonly reaper: OwnerReaper;
  readonly owner: string;
  readonly runs: Pick<Runs, "has" | "takeUp">;
  readonly load: Load;
  readonly lease: Pick<Lease, "isHeld" | "isSteady" | "databaseNow" | "clockSetMs" | "heeded">;
  readonly limits: Pick<Limits, "slots" | "queueMax" | "runMs" | "ageMs" | "recordsBytesMax">;
  /** Told of executions that it ended, since they took too long. */
  readonly onExpired: (executionId: string) => void;
  readonly isUnavailable: (error: unknown) => boolean;
  readonly log: Logger;
};

/**
 * Takes up what nobody runs: queued executions, those whose owner is dead, and those that this process owns and does not
 * run, which a lost answer can bring about. It looks for ever and again at all of them, so nothing depends on a message
 * that can be lost.
 *
 * An execution whose owners were lost again and again is a suspect: it may be what they died of. Suspects are tried one
 * at a time over all processes, and whoever tries one begins nothing else meanwhile, so that a death tells which it was.
 * What runs there already goes on, and is not blamed. A trial is short: who survives it is cleared.
 */
export class Rescuer implements Service {
  readonly #options: RescuerOptions;
  readonly #loop: Loop;
  readonly #turns = new SlotTurns();
  readonly #expiry: Expiry;
  /** How many sweeps go by before they are counted again. */
  #uncounted = 0;
  #suspects = 0;
  #trial: Trial | undefined;
  #failed: Claim[] = [];
  /** Whether it was said that a key is missing. */
  #isKeyMissing = false;
  /** When the next sweep is due. */
  #sweepTime = Number.NEGATIVE_INFINITY;

  constructor(options: RescuerOptions) {
    this.#options = options;
    this.#expiry = new Expiry(options);
    this.#loop = new Loop({
      name: "rescuer",
      everyMs,
      turn: () => this.#turnOnce(),
      dueInMs: () => Math.min(this.#sweepInMs, this.#trialLeftMs ?? everyMs),
      log: options.log,
    });
  }

  async start(): Promise<void> {
    await this.#loop.start();
  }

  async stop(): Promise<void> {
    await this.#loop.stop();
  }

  /** Whether this process tries a suspect, and begins nothing else. */
  get isTrying(): boolean {
    return this.#trial !== undefined && this.#options.runs.has(this.#trial.id);
  }

  /** A slot is free: looks at once if something waits for it. */
  wake(): void {
    if (this.#options.load.queued + this.#suspects + this.#failed.length > 0) this.#loop.wake();
  }

  /** Something is queued that another process has no slot for. */
  heed(): void {
    const { load, limits } = this.#options;
    if (load.running < limits.slots) this.#loop.wake();
  }

  /** Puts an execution off that this process cannot go on with. */
  putOff(claim: Claim, error: unknown): void {
    const { isUnavailable, log } = this.#options;
    // Where the database is away, nothing is wrong with the execution: it is a stray. Where a statement took too long,
    // what it read may be too much, and the database answers the one that puts it off.
    if (isUnavailable(error) && !isTimedOut(error)) return;
    log.error({ execution: claim.executionId, err: error }, "an execution could not be gone on with, and is put off");
    this.#failed.push(claim);
  }

  /** Each turn takes up what it can; the sweep of all else is due less often, however often a slot becomes free. */
  async #turnOnce(): Promise<void> {
    const isSweep = this.#sweepInMs <= 0;
    if (isSweep) {
      this.#sweepTime = performance.now() + everyMs;
      await this.#sweep();
    } else if (this.#expiry.isMore) {
      await this.#expiry.end(this.#steadyNow);
    }
    await this.#putOffFailed();
    await this.#endTrial();
    await this.#claim();
    if (isSweep) await this.#look();
    // At once: what one organisation has of it is not to put off what another has, nor what is taken up in between.
    if (this.#expiry.isMore) this.#loop.wake();
  }

  async #sweep(): Promise<void> {
    const { reaper, owner } = this.#options;
    await this.#heedClock();
    const now = this.#steadyNow;
    await this.#expiry.end(now);
    await this.#releaseStrays();
    if (now !== undefined) await reaper.reap({ owner, now });
  }

  /** What the database's clock should say, where that is known. */
  get #steadyNow(): number | undefined {
    const { lease } = this.#options;
    return lease.isSteady() ? lease.databaseNow() : undefined;
  }

  async #heedClock(): Promise<void> {
    const { claims, lease, owner, log } = this.#options;
    const ms = lease.clockSetMs;
    if (ms === undefined) return;
    const sleepers = await claims.correctForClockStep({ ms, owner });
    lease.heeded(ms);
    if (sleepers > 0) log.warn({ sleepers }, "executions are due earlier, since the database's clock was set back");
  }

  async #look(): Promise<void> {
    const { queue, load, limits } = this.#options;
    const isCounted = this.#uncounted <= 0;
    const takeOver = load.beginCount();
    const { queued, quarantined, organizations, dueInMs } = await queue.count(isCounted ? limits.queueMax : 0);
    if (!isCounted) {
      this.#uncounted -= 1;
    } else if (takeOver(queued)) {
      this.#uncounted = Math.min(Math.floor(load.queued / countedPerSweep), uncountedMax);
    }
    this.#suspects = quarantined;
    load.hearOrganizations(organizations);
    // Not all processes at the same moment.
    const nextMs = everyMs * (0.8 + 0.2 * Math.random());
    this.#sweepTime = performance.now() + Math.min(dueInMs ?? nextMs, nextMs);
  }

  get #sweepInMs(): number {
    return Math.max(0, this.#sweepTime - performance.now());
  }

  /**
   * Takes up what is queued, of each organisation in turn, until no slot is free, nothing is found, or a sweep is due:
   * where executions end as fast as they are taken up, what is dead would be found by nobody else.
   */
  async #claim(): Promise<void> {
    const { claims, queue, owner, load, lease, limits } = this.#options;
    for (let inVain = 0; inVain < inVainMax && !this.isTrying && lease.isHeld(); ) {
      const slots = Math.min(limits.slots - load.running, batchMax);
      if (slots <= 0) break;
      const { after, last } = this.#turns.query;
      const turns = await queue.nextAccounts({ after, last, limit: slots, full: load.full });
      const shares = load.share(this.#turns.order(turns.accounts), slots);
      this.#turns.note(turns, shares);
      const askedTime = performance.now();
      // Also where it is nobody's turn: suspects are beside the queue.
      const onUnread = (claim: Claim, error: unknown) => this.putOff(claim, error);
      const claimed = await claims.claim({ owner, shares, onUnread });
      const claimMs = performance.now() - askedTime;
      for (const [index, execution] of claimed.entries()) {
        await this.#takeUp(execution, claimMs);
        // Not all in one go: calls come in between.
        if (index % atOnce === atOnce - 1) await nextTurn();
      }
      await this.#putOffFailed();
      inVain = claimed.length > 0 ? 0 : inVain + 1;
      const isAll = after === undefined && turns.next === undefined && turns.passed.length === 0;
      if (isAll && claimed.length === 0) break;
      if (this.#sweepInMs <= 0) {
        this.#loop.wake();
        break;
      }
    }
  }

  async #takeUp(execution: ClaimedExecution, claimMs: number): Promise<void> {
    const { owner, runs, log } = this.#options;
    const { id, organizationId, environmentId, epoch, isQuarantined, quarantineRuns } = execution;
    const claim = { organizationId, environmentId, executionId: id, owner, epoch };
    this.#options.load.unqueue(execution);
    if (isQuarantined) log.warn({ execution: id, epoch }, "an execution whose owners were lost is tried alone");
    try {
      const taken = await runs.takeUp(execution);
      if (taken === "no_room") await this.#defer(claim, noRoomMs);
      else if (taken === "too_large") await this.#endTooLarge(claim);
      else if (isQuarantined) this.#trial = { id, beginTime: performance.now(), claimMs, trials: quarantineRuns };
    } catch (error) {
      if (error instanceof KeyMissing) await this.#deferWithoutKey(claim, error);
      else this.putOff(claim, error);
      await this.#putOffFailed();
    }
  }

  async #defer(claim: Claim, ms: number): Promise<void> {
    await this.#options.claims.defer({ ...claim, ms: ms * (1 + Math.random()) });
  }

  /** Without end, since nothing is wrong with it: with the key it goes on. Said once, and not for each. */
  async #deferWithoutKey(claim: Claim, error: KeyMissing): Promise<void> {
    if (!this.#isKeyMissing) {
      this.#options.log.error(
        { execution: claim.executionId, err: error },
        "executions need an encryption key that is not there, and are put off until it is",
      );
    }
    this.#isKeyMissing = true;
    await this.#defer(claim, keyMissingMs);
  }

  /** What an earlier version has recorded beyond what one may hold, nobody can go on with. */
  async #endTooLarge(claim: Claim & Tenant): Promise<void> {
    const { executions, limits, onExpired, log } = this.#options;
    const { reason, message } = recordsTooLarge(limits.recordsBytesMax);
    const outcome: Outcome = { state: "ERRORED", error: { reason, message } };
    if (!(await executions.finish({ ...claim, outcome }))) return;
    log.warn({ execution: claim.executionId, reason }, "an execution is ended that could not end by itself");
    onExpired(claim.executionId);
  }

  async #putOffFailed(): Promise<void> {
    for (const claim of this.#failed) await this.#options.claims.backOff(claim);
    this.#failed = [];
  }

  get #trialLeftMs(): number | undefined {
    if (this.#trial === undefined) return undefined;
    return leftOf(this.#trial, this.#suspects);
  }

  async #endTrial(): Promise<void> {
    const { claims, owner } = this.#options;
    if (this.isTrying) {
      if (this.#trialLeftMs !== 0) return;
      await claims.clearQuarantine(owner);
    }
    this.#trial = undefined;
  }

  /** What runs here has taken its slot before its row was written: what is not there after the rows were read is lost. */
  async #releaseStrays(): Promise<void> {
    const { claims, owner, runs, log } = this.#options;
    const owned = await claims.listOwned(owner);
    const ids = owned.filter((id) => !runs.has(id));
    if (ids.length === 0) return;
    const strays = await claims.releaseOrphans({ owner, ids });
    if (strays > 0) log.warn({ strays }, "executions that this process owned and did not run are queued again");
  }
}
