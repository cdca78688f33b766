import type { Account } from "../../domain/account.ts";
import type { AccountCount } from "../../storage/claims/claim-queue.ts";

type Counted = { readonly account: Account; count: number };

/** Counts something for each account, each environment, each organisation, and in all. */
export class AccountCounter {
  /** By environment, then by account. */
  readonly #accounts = new Map<string, Map<string, Counted>>();
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

  of({ environmentId, linkedAccountId }: Account): number {
    return this.#total === 0 ? 0 : (this.#accounts.get(environmentId)?.get(linkedAccountId)?.count ?? 0);
  }

  ofEnvironment(environmentId: string): number {
    return this.#total === 0 ? 0 : (this.#environments.get(environmentId) ?? 0);
  }

  ofOrganization(organizationId: string): number {
    return this.#total === 0 ? 0 : (this.#organizations.get(organizationId) ?? 0);
  }

  /** Adds to an account's count, or subtracts where `count` is negative; a count never falls below 0. */
  add({ organizationId, environmentId, linkedAccountId }: Account, count: number): void {
    const siblings = this.#accounts.get(environmentId);
    const counted = siblings?.get(linkedAccountId);
    const change = Math.max(count, -(counted?.count ?? 0));
    if (change === 0) {
      return;
    }
    this.#total += change;
    addTo(this.#environments, environmentId, change);
    addTo(this.#organizations, counted?.account.organizationId ?? organizationId, change);
    if (counted === undefined) {
      // A copy: the argument may be a whole execution, which must not be kept alive for its ids.
      const added = { account: { organizationId, environmentId, linkedAccountId }, count: change };
      if (siblings === undefined) {
        this.#accounts.set(environmentId, new Map([[linkedAccountId, added]]));
      } else {
        siblings.set(linkedAccountId, added);
      }
      return;
    }
    counted.count += change;
    if (counted.count === 0) {
      siblings?.delete(linkedAccountId);
      if (siblings?.size === 0) {
        this.#accounts.delete(environmentId);
      }
    }
  }

  /** The accounts with a count above 0. */
  get accounts(): readonly Account[] {
    return this.#counted.map(({ account }) => account);
  }

  get counts(): readonly AccountCount[] {
    return this.#counted.map(({ account, count }) => [
      account.environmentId,
      account.linkedAccountId,
      count,
      account.organizationId,
    ]);
  }

  get #counted(): readonly Counted[] {
    return [...this.#accounts.values()].flatMap((accounts) => [...accounts.values()]);
  }
}

function addTo(counts: Map<string, number>, key: string, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) {
    counts.delete(key);
  } else {
    counts.set(key, count);
  }
}
