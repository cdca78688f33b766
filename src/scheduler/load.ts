import type { Account } from "../domain/account.ts";
import type { Limits } from "../domain/limits.ts";
import type { RequestError } from "../domain/request-error.ts";
import type { Share } from "../storage/claim.ts";
import type { AccountCount, Full } from "../storage/queue.ts";
import { queueFull } from "./refusals.ts";
import { Tally } from "./tally.ts";

export type LoadLimits = Pick<
  Limits,
  "slots" | "queueMax" | "environmentQueueMax" | "accountQueueMax" | "environmentRunningMax" | "accountRunningMax"
>;

/** The last slots of so many are left to accounts that have few. */
const slotsPerSpare = 8;

/** How many counts in a row are left to the next one. */
const crossedMax = 4;

const nothing = new Tally();

/**
 * What each account and each environment has running and queued, and so what they may have more of.
 *
 * What runs here is known. What runs elsewhere is as each process last told with its lease, and what is queued as the
 * database last counted it, with what was queued here since: so much may a limit be exceeded by.
 */
export class Load {
  readonly #limits: LoadLimits;
  readonly #running = new Tally();
  #elsewhere = new Tally();
  #queued = new Tally();
  /** How many are being written to the queue, and how many ever were. */
  #queueing = 0;
  #queuedEver = 0;
  #crossed = 0;

  constructor(limits: LoadLimits) {
    this.#limits = limits;
  }

  /** How many executions run in this process. */
  get running(): number {
    return this.#running.total;
  }

  /** What runs in this process, for the others. */
  get counts(): readonly AccountCount[] {
    return this.#running.counts;
  }

  /** How many executions wait for a slot, in all. */
  get queued(): number {
    return this.#queued.total;
  }

  began(account: Account): void {
    this.#running.add(account, 1);
  }

  left(account: Account): void {
    this.#running.add(account, -1);
  }

  /** Counts an execution that `write` adds to the queue, unless that answers that it is another one. */
  async queue<Other>(account: Account, write: () => Promise<Other | undefined>): Promise<Other | undefined> {
    this.#queued.add(account, 1);
    this.#queueing += 1;
    this.#queuedEver += 1;
    try {
      const other = await write();
      if (other !== undefined) this.unqueue(account);
      return other;
    } finally {
      this.#queueing -= 1;
    }
  }

  unqueue(account: Account): void {
    this.#queued.add(account, -1);
  }

  /** Takes over what the others run. */
  hearElsewhere(counts: readonly AccountCount[]): void {
    this.#elsewhere = new Tally(counts);
  }

  /**
   * Begins a count of what is queued; answers what takes its numbers over, and says whether it did. Of what is added to
   * the queue meanwhile nobody knows whether it was counted: such a count is left to the next one, a few times.
   */
  beginCount(): (counts: readonly AccountCount[]) => boolean {
    const ever = this.#queuedEver;
    const isCrossed = this.#queueing > 0;
    return (counts) => {
      this.#crossed = isCrossed || this.#queuedEver !== ever ? this.#crossed + 1 : 0;
      if (this.#crossed > 0 && this.#crossed <= crossedMax) return false;
      this.#crossed = 0;
      this.#queued = new Tally(counts);
      return true;
    };
  }

  /** Whether an account may have one more execution running in this process. */
  hasSlot(account: Account): boolean {
    return this.#room(account) > 0;
  }

  /** Why an account may queue nothing more; undefined where it may. */
  refusal(account: Account): RequestError | undefined {
    const { queueMax, environmentQueueMax, accountQueueMax } = this.#limits;
    if (this.#queued.total >= queueMax) return queueFull("queue", queueMax);
    if (this.#queued.ofEnvironment(account.environmentId) >= environmentQueueMax)
      return queueFull("environment_queue", environmentQueueMax);
    if (this.#queued.of(account) >= accountQueueMax) return queueFull("account_queue", accountQueueMax);
    return undefined;
  }

  /** Who may run nothing more here. */
  get full(): Full {
    const elsewhere = this.#elsewhere.accounts.filter((account) => this.#running.of(account) === 0);
    const busy = [...this.#running.accounts, ...elsewhere];
    return {
      accounts: busy.filter((account) => !this.hasSlot(account)),
      environmentIds: [...new Set(busy.map(({ environmentId }) => environmentId))].filter(
        (environmentId) => this.#roomOfEnvironment(environmentId) <= 0,
      ),
    };
  }

  /** Shares slots out among accounts, one at a time to each in turn. */
  share(accounts: readonly Account[], slots: number): readonly Share[] {
    const given = new Tally();
    for (let isGiving = true; isGiving; ) {
      isGiving = false;
      for (const account of accounts) {
        if (given.total >= slots || this.#room(account, given) <= 0) continue;
        given.add(account, 1);
        isGiving = true;
      }
    }
    return accounts.map((account) => ({ ...account, count: given.of(account) })).filter(({ count }) => count > 0);
  }

  /** How many more an account may run here, when so many are given away already. */
  #room(account: Account, given = nothing): number {
    const { slots, accountRunningMax } = this.#limits;
    const own = this.#running.of(account) + given.of(account);
    const left = slots - this.#running.total - given.total;
    const spare = Math.floor(slots / slotsPerSpare);
    return Math.min(
      left,
      Math.max(left - spare, spare - own),
      accountRunningMax - own - this.#elsewhere.of(account),
      this.#roomOfEnvironment(account.environmentId) - given.ofEnvironment(account.environmentId),
    );
  }

  #roomOfEnvironment(environmentId: string): number {
    const running = this.#running.ofEnvironment(environmentId) + this.#elsewhere.ofEnvironment(environmentId);
    return this.#limits.environmentRunningMax - running;
  }
}
