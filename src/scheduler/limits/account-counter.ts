import type { Account } from "../../domain/account.ts";
import type { AccountCount } from "../../storage/claims/claim-queue.ts";

type Counted = { readonly account: Account; count: number };

/** Counts something for each account, each environment, each organisation, and in all. */
export class AccountCounter {
  readonly #accounts = new Map<string, Counted>();
  readonly #environments = new Map<string, number>();
  readonly #organizations = new Map<string, number>();
  #total = 0;

  constructor(counts: readonly AccountCount[] = []) {
    for (const [environmentId, linkedAccountId, count, organizationId = ""] of counts) {
      this.add({ organizationId, environmentId, linkedAccountId }, count);
    }
  }

  get total(): number {
    return this.#total;
  }

  of(account: Account): number {
    return this.#accounts.get(keyOf(account))?.count ?? 0;
  }

  ofEnvironment(environmentId: string): number {
    return this.#environments.get(environmentId) ?? 0;
  }

  ofOrganization(organizationId: string): number {
    return this.#organizations.get(organizationId) ?? 0;
  }

  /** Adds to an account's count, or subtracts where `count` is negative; a count never falls below 0. */
  add({ organizationId, environmentId, linkedAccountId }: Account, count: number): void {
    // A copy: the argument may be a whole execution, which must not be kept alive for its ids.
    const account = { organizationId, environmentId, linkedAccountId };
    const key = keyOf(account);
    const counted = this.#accounts.get(key) ?? { account, count: 0 };
    const change = Math.max(count, -counted.count);
    if (change === 0) {
      return;
    }
    counted.count += change;
    if (counted.count === 0) {
      this.#accounts.delete(key);
    } else {
      this.#accounts.set(key, counted);
    }
    addTo(this.#environments, environmentId, change);
    addTo(this.#organizations, counted.account.organizationId, change);
    this.#total += change;
  }

  /** The accounts with a count above 0. */
  get accounts(): readonly Account[] {
    return [...this.#accounts.values()].map(({ account }) => account);
  }

  get counts(): readonly AccountCount[] {
    return [...this.#accounts.values()].map(({ account, count }) => [
      account.environmentId,
      account.linkedAccountId,
      count,
      account.organizationId,
    ]);
  }
}

/** The id of an environment contains no blank. */
function keyOf({ environmentId, linkedAccountId }: Account): string {
  return `${environmentId} ${linkedAccountId}`;
}

function addTo(counts: Map<string, number>, key: string, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) {
    counts.delete(key);
  } else {
    counts.set(key, count);
  }
}
