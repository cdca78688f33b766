import type { Logger } from "pino";
import type { Service } from "../domain/service.ts";
import type { LeaseStore } from "../storage/lease-store.ts";
import { Loop } from "./loop.ts";

/** How long others believe in this process after its last word, by the database's clock. */
const leaseMs = 4_000;
const renewMs = 500;

/** How long this process believes in itself: for less, so that it has ended what it does when others begin it. */
const heldMs = 0.8 * leaseMs;

/** How long after a break all others have renewed their leases too, if they live. */
const graceMs = 2_000;

/**
 * This process's word that it lives: one row, renewed on a connection of its own.
 *
 * Time is a hint on both sides. What holds is that every write names the owner and the epoch.
 */
export class Lease implements Service {
  readonly #leases: LeaseStore;
  readonly #owner: string;
  readonly #loop: Loop;
  readonly #log: Logger;
  #isRenewed = false;
  /** By this process's own clock, which no one sets. */
  #heldUntil = Number.NEGATIVE_INFINITY;
  #renewal = Promise.withResolvers<void>();
  #session: string | undefined;
  #unbrokenSince = Number.NEGATIVE_INFINITY;

  constructor({ leases, owner, log }: { leases: LeaseStore; owner: string; log: Logger }) {
    this.#leases = leases;
    this.#owner = owner;
    this.#log = log;
    this.#loop = new Loop({ name: "lease", everyMs: renewMs, turn: () => this.#renew(), log });
  }

  async start(): Promise<void> {
    await this.#loop.start();
  }

  /** Gives the lease up, so that others take over at once what this process leaves. */
  async stop(): Promise<void> {
    await this.#loop.stop();
    if (!this.isFresh()) return;
    this.#isRenewed = false;
    this.#heldUntil = Number.NEGATIVE_INFINITY;
    try {
      await this.#leases.drop(this.#owner);
    } catch (error) {
      this.#log.warn({ err: error }, "the lease could not be given up, and is left to run out");
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
    return this.isHeld() && performance.now() - this.#unbrokenSince >= graceMs;
  }

  async #renew(): Promise<void> {
    const askedTime = performance.now();
    try {
      const session = await this.#leases.renew({ owner: this.#owner, ms: leaseMs });
      const isBroken = !this.#isRenewed || session !== this.#session || askedTime >= this.#heldUntil;
      // A process that has just begun has had no break.
      if (this.#session !== undefined && isBroken) this.#unbrokenSince = performance.now();
      this.#session = session;
      this.#isRenewed = true;
      this.#heldUntil = askedTime + heldMs;
      this.#renewal.resolve();
      this.#renewal = Promise.withResolvers();
    } catch (error) {
      this.#isRenewed = false;
      throw error;
    }
  }
}
