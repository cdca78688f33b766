import type { Account } from "../../domain/account.ts";
import { LruMap } from "../../domain/collections/lru-map.ts";
import type { AccountId, NextAccounts, NextAccountsQuery } from "../../storage/claims/claim-queue.ts";

/** How many organisations and environments are remembered. One that is forgotten counts as never served. */
const rememberedMax = 1_000;

/**
 * The cursor of a fair queue (round-robin) in the database: remembers who was given slots of this process, and puts those
 * who have waited longest first.
 */
export class FairQueueCursor {
  /** Organisations and environments by id, with the number of their last turn. */
  readonly #served = new LruMap<string, number>(rememberedMax);
  /** The account of each environment that was served last, or up to which nothing was due. */
  readonly #last = new LruMap<string, AccountId>(rememberedMax);
  #after: string | undefined;
  #count = 0;

  /** Says where the next search for accounts with due executions begins. */
  get query(): Pick<NextAccountsQuery, "after" | "last"> {
    return { after: this.#after, last: [...this.#last.values()] };
  }

  /** Sorts accounts by how long their organisation and environment have waited. Accounts of one environment keep their order. */
  sort(accounts: readonly Account[]): readonly Account[] {
    const turnOf = (id: string) => this.#served.peek(id) ?? 0;
    return accounts.toSorted(
      (one, other) =>
        turnOf(one.organizationId) - turnOf(other.organizationId) ||
        turnOf(one.environmentId) - turnOf(other.environmentId),
    );
  }

  /** Moves on to where the search ended, behind the accounts that were given slots. */
  advance({ next, passed }: NextAccounts, served: readonly Account[]): void {
    this.#after = next;
    for (const account of passed) {
      this.#last.set(account.environmentId, account);
    }
    for (const { organizationId, environmentId, linkedAccountId } of served) {
      this.#count += 1;
      this.#served.set(organizationId, this.#count);
      this.#served.set(environmentId, this.#count);
      this.#last.set(environmentId, { environmentId, linkedAccountId });
    }
  }
}
