import type { Account } from "../domain/account.ts";
import type { AccountCount } from "../storage/queue.ts";

/** How many there are of something: of each account, of each environment, and in all. */
export class Tally {
  #counts = new Map<string, number>();
  #environments = new Map<string, number>();
  #total = 0;

  constructor(counts: readonly AccountCount[] = []) {
    for (const [environmentId, linkedAccountId, count] of counts) this.add({ environmentId, linkedAccountId }, count);
  }

  get total(): number {
    return this.#total;
  }

  of(account: Account): number {
    return this.#counts.get(keyOf(account)) ?? 0;
  }

  ofEnvironment(environmentId: string): number {
    return this.#environments.get(environmentId) ?? 0;
  }

  /** Adds to an account's number, or takes from it where `count` is negative; it does not fall below 0. */
  add(account: Account, count: number): void {
    const before = this.of(account);
    const change = Math.max(count, -before);
    if (change === 0) return;
    set(this.#counts, keyOf(account), before + change);
    set(this.#environments, account.environmentId, this.ofEnvironment(account.environmentId) + change);
    this.#total += change;
  }

  /** The accounts that there are any of. */
  get accounts(): readonly Account[] {
    return this.counts.map(([environmentId, linkedAccountId]) => ({ environmentId, linkedAccountId }));
  }

  get counts(): readonly AccountCount[] {
    return [...this.#counts].map(([key, count]) => {
      const end = key.indexOf(" ");
      return [key.slice(0, end), key.slice(end + 1), count];
    });
  }
}

/** No id of an environment has a space. */
function keyOf({ environmentId, linkedAccountId }: Account): string {
  return `${environmentId} ${linkedAccountId}`;
}

function set(counts: Map<string, number>, key: string, count: number): void {
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
