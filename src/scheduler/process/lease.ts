import type { Logger } from "pino";
import type { Service } from "../../domain/service.ts";
import type { AccountCount } from "../../storage/claims/claim-queue.ts";
import type { LeaseStore, OtherOwner } from "../../storage/claims/lease-store.ts";
import type { Load } from "../limits/capacity.ts";
import type { RequestRate, RequestRates } from "../limits/request-rates.ts";
import { DatabaseTime } from "./database-clock.ts";
import { Loop } from "./periodic-task.ts";
import { hasEnded, nameProcess } from "./process-name.ts";

/** How long others believe in this process after its last word, by the database's clock. */
const leaseMs = 4_000;
const renewMs = 500;

/** How long this process believes in itself: for less, so that it has ended what it does when others begin it. */
const heldMs = 0.8 * leaseMs;

/** How long after a break all others have renewed their leases too, if they live. */
const graceMs = 2_000;

/**
 * How long after the database's clock was set nobody is judged: by the new time all leases are old at once, or will be
 * for long, and whoever lives has as long to renew its own as it always has.
 */
const clockGraceMs = leaseMs;

export type LeaseOptions = {
  readonly leases: LeaseStore;
  readonly owner: string;
  readonly load: Pick<Load, "counts" | "hearElsewhere">;
  readonly rates: Pick<RequestRates, "measure" | "hearElsewhere">;
  readonly log: Logger;
};

/** What a process tells the others: what it runs, and how many requests it gets. */
type Report = { readonly running?: readonly AccountCount[]; readonly requests?: readonly RequestRate[] };

/**
 * This process's word that it lives, and what it has to do: one row, renewed on a connection of its own.
 *
 * Time is a hint on both sides. What holds is that every write names the owner and the epoch.
 */
export class Lease implements Service {
  readonly #options: LeaseOptions;
  readonly #loop: Loop;
  #process: Promise<string | undefined> | undefined;
  #isRenewed = false;
  /** By this process's own clock, which no one sets. */
  #heldUntil = Number.NEGATIVE_INFINITY;
  #renewal = Promise.withResolvers<void>();
  #session: string | undefined;
  #steadySince = Number.NEGATIVE_INFINITY;
  readonly #databaseTime = new DatabaseTime();
  #clockSetMs: number | undefined = 0;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#loop = new Loop({ name: "lease", everyMs: renewMs, turn: () => this.#renew(), log: options.log });
  }

  async start(): Promise<void> {
    await this.#loop.start();
  }

  /** Gives the lease up, so that others take over at once what this process leaves. */
  async stop(): Promise<void> {
    const { leases, owner, log } = this.#options;
    await this.#loop.stop();
    if (!this.isFresh()) return;
    this.#isRenewed = false;
    this.#heldUntil = Number.NEGATIVE_INFINITY;
    try {
      await leases.drop(owner);
    } catch (error) {
      log.warn({ err: error }, "the lease could not be given up, and is left to run out");
    }
  }

  /**
   * Whether the database answered the last renewal. Its connection does not wait long for that, and the age of the
   * answer says nothing: a busy process renews late and is well.
   */
  isFresh(): boolean {
    return this.#isRenewed;
  }

  /** Whether others still take this process for alive. Where that is not sure, it begins nothing outside of itself. */
  isHeld(): boolean {
    return performance.now() < this.#heldUntil;
  }

  /** Settles when the lease is held. */
  async whenHeld(): Promise<void> {
    while (!this.isHeld()) await this.#renewal.promise;
  }

  /**
   * Whether this process may judge by their leases who else lives. After a break, which may be the database's own, all
   * leases are old and all sessions gone, and the others need a moment too.
   */
  isSteady(): boolean {
    return this.isHeld() && performance.now() >= this.#steadySince;
  }

  /** What the database's clock says now, as its answers tell; undefined before the first one. */
  databaseNow(): number | undefined {
    return this.#databaseTime.at(performance.now());
  }

  /**
   * By how many milliseconds the database's clock was set that nobody has heeded yet; 0 in the beginning, when that is
   * not known, and undefined where there is nothing to heed.
   */
  get clockSetMs(): number | undefined {
    return this.#clockSetMs;
  }

  /** Forgets what has been heeded. */
  heeded(ms: number): void {
    this.#clockSetMs = this.#clockSetMs === ms ? undefined : (this.#clockSetMs ?? 0) - ms;
  }

  async #renew(): Promise<void> {
    const { leases, owner, load, rates } = this.#options;
    const askedTime = performance.now();
    try {
      const report: Report = { running: load.counts, requests: rates.measure() };
      this.#process ??= nameProcess();
      const renewal = { owner, ms: leaseMs, load: JSON.stringify(report), process: await this.#process };
      const { session, now: databaseTime, others } = await leases.renew(renewal);
      const answeredTime = performance.now();
      const setMs = this.#databaseTime.hear({ askedTime, answeredTime, databaseTime });
      const isBroken = !this.#isRenewed || session !== this.#session || askedTime >= this.#heldUntil;
      // A process that has just begun has had no break.
      if (this.#session !== undefined && isBroken)
        this.#steadySince = Math.max(this.#steadySince, answeredTime + graceMs);
      if (setMs !== 0) this.#noteClockSet(setMs, answeredTime);
      this.#session = session;
      this.#isRenewed = true;
      this.#heldUntil = askedTime + heldMs;
      this.#renewal.resolve();
      this.#renewal = Promise.withResolvers();
      this.#hear(others);
      await this.#dropEnded(others);
    } catch (error) {
      this.#isRenewed = false;
      throw error;
    }
  }

  #noteClockSet(ms: number, time: number): void {
    this.#options.log.warn({ ms: Math.round(ms) }, "the database's clock was set, or this process stood still");
    this.#steadySince = time + clockGraceMs;
    this.#clockSetMs = (this.#clockSetMs ?? 0) + ms;
  }

  /** Others that are known to run no more have no use for a lease. */
  async #dropEnded(others: readonly OtherOwner[]): Promise<void> {
    const { leases, log } = this.#options;
    for (const { owner, process } of others) {
      if (process === null || !(await hasEnded(process))) continue;
      log.info({ owner }, "another process of this machine has ended, and what it ran is taken over");
      await leases.drop(owner);
    }
  }

  #hear(others: readonly OtherOwner[]): void {
    const { load, rates, log } = this.#options;
    try {
      // Written here by other processes; one of another version may tell less.
      const reports = others.map(({ load: text }) => JSON.parse(text ?? "{}") as Report);
      load.hearElsewhere(reports.flatMap(({ running = [] }) => running));
      rates.hearElsewhere(reports.flatMap(({ requests = [] }) => requests));
    } catch (error) {
      log.debug({ err: error }, "what a process of another version tells of its load is not understood");
    }
  }
}
