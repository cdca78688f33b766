import type { Account } from "../../domain/account.ts";
import type { AccountId, NextAccounts, NextAccountsQuery } from "../../storage/claims/claim-queue.ts";

/** How many organisations and environments are remembered; who is not counts as one that had no turn yet. */
const rememberedMax = 1_000;

/** Whose turn it is at the slots of this process: who had one longest ago goes first. */
export class SlotTurns {
  /** Organisations and environments by their id, with the number of their last turn, in the order of these. */
  readonly #served = new Map<string, number>();
  /** The account of each environment that had its last turn, or up to which nothing was due. */
  readonly #last = new Map<string, AccountId>();
  #after: string | undefined;
  #count = 0;

  /** Where to look next for accounts that have something due. */
  get query(): Pick<NextAccountsQuery, "after" | "last"> {
    return { after: this.#after, last: [...this.#last.values()] };
  }

  /** Orders accounts that were found by whose turn it is, those of one environment as they were found. */
  order(accounts: readonly Account[]): readonly Account[] {
    const turnOf = (id: string) => this.#served.get(id) ?? 0;
    return accounts.toSorted(
      (one, other) =>
        turnOf(one.organizationId) - turnOf(other.organizationId) ||
        turnOf(one.environmentId) - turnOf(other.environmentId),
    );
  }

  /** Notes how far the search came and who got slots, in their order. */
  note({ next, passed }: NextAccounts, served: readonly Account[]): void {
    this.#after = next;
    for (const account of passed) remember(this.#last, account.environmentId, account);
    for (const { organizationId, environmentId, linkedAccountId } of served) {
      this.#count += 1;
      remember(this.#served, organizationId, this.#count);
      remember(this.#served, environmentId, this.#count);
      remember(this.#last, environmentId, { environmentId, linkedAccountId });
    }
  }
}

/** A Map keeps the order of insertion: what is set anew stands last, and the first one is the oldest. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > rememberedMax && oldest !== undefined) map.delete(oldest);
}
