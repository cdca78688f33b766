import type { Limits } from "../../domain/limits.ts";

/** Each run may hold this much uncounted; most runs never hold more. */
export const freeBytes = 1024 * 1024;

/** The part of the budget that one run holds. */
export type MemoryShare = {
  /** Sets how many bytes the run holds now. */
  hold(bytes: number): void;
  /** Whether this run has to yield its memory before it goes on. */
  readonly mustYield: boolean;
};

/** Somebody who holds more than `freeBytes`. One who only reads records has no id. */
type Holder = { readonly organizationId: string; readonly id: string | undefined };

/**
 * Bounds the memory of all journals in this process together: each run may hold all records of its execution, which is
 * bounded for one run and not for hundreds of them.
 *
 * Where the budget is used up, a run that wants to go on is put to sleep, as for a long wait: it fails in no way, and
 * everything it needs is in its journal. It may not wait in memory, since then those who wait would keep the memory that
 * all of them wait for (a deadlock). One organisation has half of the budget, or as much as one execution needs, so that
 * its large executions first get in the way of each other.
 *
 * The oldest execution always goes on, and may exceed the budget by as much as one execution may have. Otherwise each one
 * would wake up to find the budget used by others, and those that need most might never find room (starvation).
 */
export class MemoryBudget {
  readonly #max: number;
  readonly #organizationMax: number;
  /** The excess that the oldest execution is allowed. */
  readonly #reserve: number;
  readonly #byOrganization = new Map<string, number>();
  readonly #holders = new Set<Holder>();
  #total = 0;

  constructor({ recordsBytesMax, recordsMemoryBytesMax }: Pick<Limits, "recordsBytesMax" | "recordsMemoryBytesMax">) {
    this.#reserve = recordsBytesMax;
    this.#organizationMax = Math.max(recordsBytesMax, recordsMemoryBytesMax / 2);
    this.#max = Math.max(recordsMemoryBytesMax, this.#organizationMax);
  }

  /** Whether a run, or a reader without an id, may begin that holds so many bytes from the start. */
  hasRoom(organizationId: string, bytes: number, id?: string): boolean {
    const counted = Math.max(0, bytes - freeBytes);
    if (counted === 0 || this.#total === 0) {
      return true;
    }
    const exceeds = (used: number, max: number, organization?: string) =>
      used + counted > max && (used + counted > max + this.#reserve || !this.#isOldest(id, organization));
    return (
      !exceeds(this.#total, this.#max) && !exceeds(this.#heldBy(organizationId), this.#organizationMax, organizationId)
    );
  }

  open(organizationId: string, id?: string): MemoryShare {
    return new Share(this, { organizationId, id });
  }

  /** Says that a holder has come to hold so many bytes more beyond those that are free, or fewer. */
  add(holder: Holder, bytes: number, isHolding: boolean): void {
    const { organizationId } = holder;
    const next = this.#heldBy(organizationId) + bytes;
    if (next === 0) {
      this.#byOrganization.delete(organizationId);
    } else {
      this.#byOrganization.set(organizationId, next);
    }
    this.#total += bytes;
    if (isHolding) {
      this.#holders.add(holder);
    } else {
      this.#holders.delete(holder);
    }
  }

  mustYield({ organizationId, id }: Holder): boolean {
    if (this.#total > this.#max && !this.#isOldest(id)) {
      return true;
    }
    return this.#heldBy(organizationId) > this.#organizationMax && !this.#isOldest(id, organizationId);
  }

  /** Whether no older execution holds memory, of one organisation or of all. Ids begin with their time. */
  #isOldest(id: string | undefined, organizationId?: string): boolean {
    if (id === undefined) {
      return false;
    }
    for (const holder of this.#holders) {
      const isCompared = organizationId === undefined || holder.organizationId === organizationId;
      if (isCompared && holder.id !== undefined && holder.id < id) {
        return false;
      }
    }
    return true;
  }

  #heldBy(organizationId: string): number {
    return this.#byOrganization.get(organizationId) ?? 0;
  }
}

class Share implements MemoryShare {
  readonly #budget: MemoryBudget;
  readonly #holder: Holder;
  #counted = 0;

  constructor(budget: MemoryBudget, holder: Holder) {
    this.#budget = budget;
    this.#holder = holder;
  }

  hold(bytes: number): void {
    const next = Math.max(0, bytes - freeBytes);
    if (next !== this.#counted) {
      this.#budget.add(this.#holder, next - this.#counted, next > 0);
      this.#counted = next;
    }
  }

  get mustYield(): boolean {
    return this.#counted > 0 && this.#budget.mustYield(this.#holder);
  }
}
