import type { Logger } from "pino";
import type { Service } from "../domain/service.ts";
import type { LeaseStore } from "../storage/lease-store.ts";
import { Loop } from "./loop.ts";

/** How long others believe in this process after its last word, by the database's clock. */
const leaseMs = 4_000;
const renewMs = 500;

/** This process's word that it lives: one row, renewed on a connection of its own. */
export class Lease implements Service {
  readonly #leases: LeaseStore;
  readonly #owner: string;
  readonly #loop: Loop;
  readonly #log: Logger;
  #isRenewed = false;

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

  async #renew(): Promise<void> {
    try {
      await this.#leases.renew({ owner: this.#owner, ms: leaseMs });
      this.#isRenewed = true;
    } catch (error) {
      this.#isRenewed = false;
      throw error;
    }
  }
}
