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
  #isRenewed = false;
  /** When the renewal under way was asked for. */
  #askedAt: number | undefined;

  constructor({ leases, owner, log }: { leases: LeaseStore; owner: string; log: Logger }) {
    this.#leases = leases;
    this.#owner = owner;
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
    await this.#leases.drop(this.#owner);
  }

  /**
   * Whether the database answered the last renewal, and does not keep the next one waiting for as long as the lease.
   * The age of the last renewal alone says nothing: a busy process renews late and is well.
   */
  isFresh(): boolean {
    return this.#isRenewed && (this.#askedAt === undefined || performance.now() - this.#askedAt < leaseMs);
  }

  async #renew(): Promise<void> {
    this.#askedAt = performance.now();
    try {
      await this.#leases.renew({ owner: this.#owner, ms: leaseMs });
      this.#isRenewed = true;
    } catch (error) {
      this.#isRenewed = false;
      throw error;
    } finally {
      this.#askedAt = undefined;
    }
  }
}
