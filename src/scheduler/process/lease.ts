import type { Logger } from "pino";
import type { Clock } from "../../domain/clock.ts";
import type { Service } from "../../domain/service.ts";
import type { AccountCount } from "../../storage/claims/claim-queue.ts";
import type { LeaseStore, OtherOwner } from "../../storage/claims/lease-store.ts";
import { DatabaseClockEstimate } from "./database-clock-estimate.ts";
import { PeriodicTask } from "./periodic-task.ts";
import { hasEnded, nameProcess } from "./process-name.ts";

/** How long a lease lasts after its last renewal (the heartbeat), by the database's clock. */
const leaseMs = 4_000;
const heartbeatMs = 500;

/** How long a process trusts its own lease: for less than the others do, so that it has stopped when they take over. */
const trustMs = 0.8 * leaseMs;

/** After an interruption, possibly of the database itself, every living process needs this long to renew its lease. */
const graceMs = 2_000;

/** After the database's clock was set all leases look expired, or look valid for too long, until each is renewed. */
const clockGraceMs = leaseMs;

export type LeaseOptions = {
  readonly leases: LeaseStore;
  readonly owner: string;
  /** The runs of this process, which the heartbeat reports, and those that the others reported. */
  readonly capacity: { readonly counts: readonly AccountCount[]; setElsewhere(counts: readonly AccountCount[]): void };
  /** The same for requests per second of each API key and organisation. */
  readonly rates: { measure(): readonly RequestRate[]; setElsewhere(rates: readonly RequestRate[]): void };
  readonly clock: Clock;
  readonly log: Logger;
};

type RequestRate = readonly [id: string, perSecond: number];

/** The payload of a heartbeat. A process of another version may leave parts of it out. */
type Heartbeat = { readonly running?: readonly AccountCount[]; readonly requests?: readonly RequestRate[] };

/**
 * The lease of this process: one row that a heartbeat renews, on a connection of its own. Others take over what an
 * owner with an expired lease holds.
 *
 * Time is only a hint here. What keeps two owners apart is fencing: every write names its owner and epoch.
 */
export class Lease implements Service {
  readonly #options: LeaseOptions;
  readonly #heartbeat: PeriodicTask;
  #process: Promise<string | undefined> | undefined;
  #isRenewed = false;
  /** A monotonic time. */
  #heldUntil = Number.NEGATIVE_INFINITY;
  #renewal = Promise.withResolvers<void>();
  #session: string | undefined;
  #steadySince = Number.NEGATIVE_INFINITY;
  readonly #databaseClock = new DatabaseClockEstimate();
  #clockSetMs: number | undefined = 0;

  constructor(options: LeaseOptions) {
    const { clock, log } = options;
    this.#options = options;
    const runOnce = () => this.#renew();
    this.#heartbeat = new PeriodicTask({ name: "lease", everyMs: heartbeatMs, runOnce, clock, log });
  }

  async start(): Promise<void> {
    await this.#heartbeat.start();
  }

  /** Drops the lease, so that others take over at once. */
  async stop(): Promise<void> {
    const { leases, owner, log } = this.#options;
    await this.#heartbeat.stop();
    if (!this.isFresh()) {
      return;
    }
    this.#isRenewed = false;
    this.#heldUntil = Number.NEGATIVE_INFINITY;
    try {
      await leases.drop(owner);
    } catch (error) {
      log.warn({ err: error }, "the lease could not be dropped and has to expire");
    }
  }

  /**
   * Whether the last heartbeat was answered. The age of that answer does not count: a busy process renews late, and a
   * broken connection fails soon enough.
   */
  isFresh(): boolean {
    return this.#isRenewed;
  }

  /** Whether the others surely still respect this lease. Without that a process must cause no effects outside. */
  isHeld(): boolean {
    return this.#options.clock.monotonic() < this.#heldUntil;
  }

  /** How long ago the last heartbeat that was answered was sent. Less than 4 s, or others take over. */
  get ageMs(): number {
    return this.#options.clock.monotonic() - (this.#heldUntil - trustMs);
  }

  /** Settles when the lease is held. */
  async whenHeld(): Promise<void> {
    while (!this.isHeld()) {
      await this.#renewal.promise;
    }
  }

  /**
   * Whether this process may declare other owners dead. After an interruption it may not for a while: all leases have
   * expired and all sessions are gone, and those who live need a moment to renew.
   */
  isSteady(): boolean {
    return this.isHeld() && this.#options.clock.monotonic() >= this.#steadySince;
  }

  /** An estimate of the database's clock; undefined before its first answer. */
  databaseNow(): number | undefined {
    return this.#databaseClock.at(this.#options.clock.monotonic());
  }

  /**
   * By how many milliseconds the database's clock was set and nobody has corrected for yet; undefined where it was not
   * set. It is 0 at the start, when nobody knows.
   */
  get clockSetMs(): number | undefined {
    return this.#clockSetMs;
  }

  /** Says that executions have been corrected for a clock that was set by `ms`. */
  correctedClock(ms: number): void {
    this.#clockSetMs = this.#clockSetMs === ms ? undefined : (this.#clockSetMs ?? 0) - ms;
  }

  async #renew(): Promise<void> {
    const { leases, owner, capacity, rates, clock } = this.#options;
    const askTime = clock.monotonic();
    try {
      const heartbeat: Heartbeat = { running: capacity.counts, requests: rates.measure() };
      this.#process ??= nameProcess();
      const renewal = { owner, ms: leaseMs, load: JSON.stringify(heartbeat), process: await this.#process };
      const { session, now: databaseTime, others } = await leases.renew(renewal);
      const answerTime = clock.monotonic();
      const setMs = this.#databaseClock.add({ askTime, answerTime, databaseTime });
      const isInterrupted = !this.#isRenewed || session !== this.#session || askTime >= this.#heldUntil;
      // The first heartbeat of a process follows no interruption.
      if (this.#session !== undefined && isInterrupted) {
        this.#steadySince = Math.max(this.#steadySince, answerTime + graceMs);
      }
      if (setMs !== 0) {
        this.#noteClockSet(setMs, answerTime);
      }
      this.#session = session;
      this.#isRenewed = true;
      this.#heldUntil = askTime + trustMs;
      this.#renewal.resolve();
      this.#renewal = Promise.withResolvers();
      this.#readHeartbeats(others);
      await this.#dropEnded(others);
    } catch (error) {
      this.#isRenewed = false;
      throw error;
    }
  }

  #noteClockSet(ms: number, time: number): void {
    this.#options.log.warn({ ms: Math.round(ms) }, "the database's clock was set, or this process was suspended");
    this.#steadySince = time + clockGraceMs;
    this.#clockSetMs = (this.#clockSetMs ?? 0) + ms;
  }

  /** A process of this machine that has certainly ended needs its lease no more: nobody has to wait for its expiry. */
  async #dropEnded(others: readonly OtherOwner[]): Promise<void> {
    const { leases, log } = this.#options;
    for (const { owner, process } of others) {
      if (process === null || !(await hasEnded(process))) {
        continue;
      }
      log.info({ owner }, "another process of this machine has ended; its executions are taken over");
      await leases.drop(owner);
    }
  }

  #readHeartbeats(others: readonly OtherOwner[]): void {
    const { capacity, rates, log } = this.#options;
    try {
      // Written by the same code in another process.
      const heartbeats = others.map(({ load: text }) => JSON.parse(text ?? "{}") as Heartbeat);
      capacity.setElsewhere(heartbeats.flatMap(({ running = [] }) => running));
      rates.setElsewhere(heartbeats.flatMap(({ requests = [] }) => requests));
    } catch (error) {
      log.debug({ err: error }, "the heartbeat of a process of another version cannot be read");
    }
  }
}
