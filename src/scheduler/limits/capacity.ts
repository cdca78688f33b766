import { type Account, turnOf } from "../../domain/account.ts";
import { FairQueue } from "../../domain/collections/fair-queue.ts";
import type { Limits } from "../../domain/limits.ts";
import type { RequestError } from "../../domain/request-error.ts";
import type { Share } from "../../storage/claims/claim-executions.ts";
import type { AccountCount, Full } from "../../storage/claims/claim-queue.ts";
import { AccountCounter } from "./account-counter.ts";
import { queueFull } from "./limit-errors.ts";

export type CapacityLimits = Pick<
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
 * Dynamic thresholds, as in the shared buffer of a switch (Choudhury and Hahne, 1998): one may have this many times the
 * slots that it leaves free. A running execution cannot be preempted and may take hours, so some slots must stay free
 * for whoever comes next. An organisation alone gets half of the process, two get a third each; an environment gets
 * seven eighths of its organisation's part, and an account seven eighths of its environment's.
 */
const thresholds = { organization: 1, environment: 7, account: 7 } as const;

/** A recount that overlaps an enqueue is discarded; after this many discarded ones the next is taken all the same. */
const discardedMax = 4;

/**
 * Admission control: counts what each account, environment and organisation has running and queued, and so decides what
 * each may have more of.
 *
 * The runs of this process are known exactly, those of other processes from their last heartbeats, and the queue from
 * the last count in the database and what this process has added since. So a limit is approximate: it may be exceeded by
 * what the others have done in the meantime.
 */
export class Capacity {
  readonly #limits: CapacityLimits;
  readonly #running = new AccountCounter();
  #elsewhere = new AccountCounter();
  #queued = new AccountCounter();
  /** How many executions are being written to the queue, and how many ever were. */
  #enqueueing = 0;
  #enqueuedEver = 0;
  #discarded = 0;
  /** How many executions wait for their quarantine, beside the queue. */
  candidates = 0;
  /** Set for a quarantine: while it answers true, nothing begins here. */
  isQuarantining: (() => boolean) | undefined;
  /** Until the number of organisations is known, there may be several. */
  #isShared = true;

  constructor(limits: CapacityLimits) {
    this.#limits = limits;
  }

  /** How many executions run in this process. */
  get running(): number {
    return this.#running.total;
  }

  /** The runs of this process, for its heartbeat. */
  get counts(): readonly AccountCount[] {
    return this.#running.counts;
  }

  /** How many executions are queued in all. */
  get queued(): number {
    return this.#queued.total;
  }

  takeSlot(account: Account): void {
    this.#running.add(account, 1);
  }

  /** Answers whether others wait for a slot. */
  freeSlot(account: Account): boolean {
    this.#running.add(account, -1);
    return this.#queued.total + this.candidates > 0;
  }

  /** Counts an execution that `write` adds to the queue, unless `write` answers another one in its place. */
  async enqueue<Other>(account: Account, write: () => Promise<Other | undefined>): Promise<Other | undefined> {
    this.#queued.add(account, 1);
    this.#enqueueing += 1;
    this.#enqueuedEver += 1;
    try {
      const other = await write();
      if (other !== undefined) {
        this.dequeue(account);
      }
      return other;
    } finally {
      this.#enqueueing -= 1;
    }
  }

  dequeue(account: Account): void {
    this.#queued.add(account, -1);
  }

  /** A single organisation needs to leave nothing free for others. */
  setOrganizations(count: number): void {
    this.#isShared = count > 1;
  }

  /** Replaces what other processes run by what their heartbeats report. */
  setElsewhere(counts: readonly AccountCount[]): void {
    this.#elsewhere = new AccountCounter(counts);
  }

  /**
   * Begins a recount of the queue. The function that it answers takes the numbers, and says whether it used them: an
   * execution that is enqueued meanwhile may or may not be in them.
   */
  beginRecount(): (counts: readonly AccountCount[]) => boolean {
    const ever = this.#enqueuedEver;
    const isEnqueueing = this.#enqueueing > 0;
    return (counts) => {
      this.#discarded = isEnqueueing || this.#enqueuedEver !== ever ? this.#discarded + 1 : 0;
      if (this.#discarded > 0 && this.#discarded <= discardedMax) {
        return false;
      }
      this.#discarded = 0;
      this.#queued = new AccountCounter(counts);
      return true;
    };
  }

  /** Whether an account may have one more execution running in this process now. */
  hasSlot(account: Account): boolean {
    return this.isQuarantining?.() !== true && this.#room(account) > 0;
  }

  /** Why an account may queue nothing more; undefined where it may. The narrowest limit is named. */
  queueError(account: Account): RequestError | undefined {
    const { queueMax, organizationQueueMax, environmentQueueMax, accountQueueMax } = this.#limits;
    if (this.#queued.of(account) >= accountQueueMax) {
      return queueFull("account_queue", accountQueueMax);
    }
    if (this.#queued.ofEnvironment(account.environmentId) >= environmentQueueMax) {
      return queueFull("environment_queue", environmentQueueMax);
    }
    if (this.#queued.ofOrganization(account.organizationId) >= organizationQueueMax) {
      return queueFull("organization_queue", organizationQueueMax);
    }
    if (this.#queued.total >= queueMax) {
      return queueFull("queue", queueMax);
    }
    return undefined;
  }

  /** Those that may run nothing more here. */
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

  /** Shares slots out round-robin: one at a time to each organisation, in it to each environment, in that to each account. */
  share(accounts: readonly Account[], slots: number): readonly Share[] {
    const given = new AccountCounter();
    const waiting = new FairQueue<Account>();
    for (const account of accounts) {
      waiting.push(turnOf(account), account);
    }
    for (let account = waiting.shift(); account !== undefined && given.total < slots; account = waiting.shift()) {
      if (this.#room(account, given) <= 0) {
        continue;
      }
      given.add(account, 1);
      waiting.push(turnOf(account), account);
    }
    return accounts.map((account) => ({ ...account, count: given.of(account) })).filter(({ count }) => count > 0);
  }

  /** How many more an account may run here, where `given` is promised already. */
  #room(account: Account, given?: AccountCounter): number {
    const own = this.#running.of(account) + (given?.of(account) ?? 0);
    return Math.min(
      roomBeside("account", own, this.#roomOfEnvironment(account, given)),
      this.#limits.accountRunningMax - own - this.#elsewhere.of(account),
    );
  }

  #roomOfEnvironment(account: Account, given?: AccountCounter): number {
    const { environmentId } = account;
    const own = this.#running.ofEnvironment(environmentId) + (given?.ofEnvironment(environmentId) ?? 0);
    return Math.min(
      roomBeside("environment", own, this.#roomOfOrganization(account, given)),
      this.#limits.environmentRunningMax - own - this.#elsewhere.ofEnvironment(environmentId),
    );
  }

  #roomOfOrganization({ organizationId }: Account, given?: AccountCounter): number {
    const own = this.#running.ofOrganization(organizationId) + (given?.ofOrganization(organizationId) ?? 0);
    const free = this.#limits.slots - this.#running.total - (given?.total ?? 0);
    return Math.min(
      this.#isShared ? roomBeside("organization", own, free) : free,
      this.#limits.organizationRunningMax - own - this.#elsewhere.ofOrganization(organizationId),
    );
  }
}

/** How many more one may take that has `own`, where `free` are left for it and its neighbours. */
function roomBeside(level: keyof typeof thresholds, own: number, free: number): number {
  const times = thresholds[level];
  return Math.max(0, Math.ceil((times * free - own) / (times + 1)));
}
