import { type Account, turnOf } from "../../domain/account.ts";
import { FairQueue } from "../../domain/fair-queue.ts";
import type { Limits } from "../../domain/limits.ts";
import type { RequestError } from "../../domain/request-error.ts";
import type { Share } from "../../storage/claims/claim-executions.ts";
import type { AccountCount, Full } from "../../storage/claims/claim-queue.ts";
import { queueFull } from "../accept/call-errors.ts";
import { Tally } from "./account-counter.ts";

export type LoadLimits = Pick<
  Limits,
  | "slots"
  | "queueMax"
  | "organizationQueueMax"
  | "environmentQueueMax"
  | "accountQueueMax"
  | "organizationRunningMax"
  | "environmentRunningMax"
  | "accountRunningMax"
>;

/**
 * How many times as many slots one may have as it leaves free: dynamic thresholds, as switches share a buffer out (Choudhury
 * and Hahne 1998). A slot that an execution has is not taken back, and may be had for hours, so that something is left
 * for the next one at any time, whoever comes. An organisation alone has half of the process so, and two a third each;
 * an environment has seven eighths of what its organisation may have, and an account of what its environment may have.
 */
const timesLeft = { organization: 1, environment: 7, account: 7 } as const;

/** How many counts in a row are left to the next one. */
const crossedMax = 4;

const nothing = new Tally();

/**
 * What each account, environment and organisation has running and queued, and so what they may have more of.
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
  /** Until it is known, there may be others. */
  #isShared = true;

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

  /** Takes over how many organisations there are: where it is one, nothing is kept free for others. */
  hearOrganizations(count: number): void {
    this.#isShared = count > 1;
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

  /** Why an account may queue nothing more; undefined where it may. Its own part comes before the whole. */
  refusal(account: Account): RequestError | undefined {
    const { queueMax, organizationQueueMax, environmentQueueMax, accountQueueMax } = this.#limits;
    if (this.#queued.of(account) >= accountQueueMax) return queueFull("account_queue", accountQueueMax);
    if (this.#queued.ofEnvironment(account.environmentId) >= environmentQueueMax)
      return queueFull("environment_queue", environmentQueueMax);
    if (this.#queued.ofOrganization(account.organizationId) >= organizationQueueMax)
      return queueFull("organization_queue", organizationQueueMax);
    if (this.#queued.total >= queueMax) return queueFull("queue", queueMax);
    return undefined;
  }

  /** Who may run nothing more here. */
  get full(): Full {
    const elsewhere = this.#elsewhere.accounts.filter((account) => this.#running.of(account) === 0);
    const busy = [...this.#running.accounts, ...elsewhere];
    const full = (idOf: (account: Account) => string, roomOf: (account: Account) => number) => [
      ...new Set(busy.filter((account) => roomOf(account) <= 0).map(idOf)),
    ];
    return {
      accounts: busy.filter((account) => !this.hasSlot(account)),
      environmentIds: full(
        ({ environmentId }) => environmentId,
        (account) => this.#roomOfEnvironment(account),
      ),
      organizationIds: full(
        ({ organizationId }) => organizationId,
        (account) => this.#roomOfOrganization(account),
      ),
    };
  }

  /** Shares slots out among accounts: one at a time to each organisation in turn, there to each environment and account. */
  share(accounts: readonly Account[], slots: number): readonly Share[] {
    const given = new Tally();
    const waiting = new FairQueue<Account>();
    for (const account of accounts) waiting.push(turnOf(account), account);
    for (let account = waiting.shift(); account !== undefined && given.total < slots; account = waiting.shift()) {
      if (this.#room(account, given) <= 0) continue;
      given.add(account, 1);
      waiting.push(turnOf(account), account);
    }
    return accounts.map((account) => ({ ...account, count: given.of(account) })).filter(({ count }) => count > 0);
  }

  /** How many more an account may run here, when so many are given away already. */
  #room(account: Account, given = nothing): number {
    const own = this.#running.of(account) + given.of(account);
    return Math.min(
      roomBeside("account", own, this.#roomOfEnvironment(account, given)),
      this.#limits.accountRunningMax - own - this.#elsewhere.of(account),
    );
  }

  #roomOfEnvironment(account: Account, given = nothing): number {
    const { environmentId } = account;
    const own = this.#running.ofEnvironment(environmentId) + given.ofEnvironment(environmentId);
    return Math.min(
      roomBeside("environment", own, this.#roomOfOrganization(account, given)),
      this.#limits.environmentRunningMax - own - this.#elsewhere.ofEnvironment(environmentId),
    );
  }

  #roomOfOrganization({ organizationId }: Account, given = nothing): number {
    const own = this.#running.ofOrganization(organizationId) + given.ofOrganization(organizationId);
    const left = this.#limits.slots - this.#running.total - given.total;
    return Math.min(
      this.#isShared ? roomBeside("organization", own, left) : left,
      this.#limits.organizationRunningMax - own - this.#elsewhere.ofOrganization(organizationId),
    );
  }
}

/** How many more one may take that has `own`, where so many are left for it and its neighbours. */
function roomBeside(what: keyof typeof timesLeft, own: number, left: number): number {
  const times = timesLeft[what];
  return Math.max(0, Math.ceil((times * left - own) / (times + 1)));
}
