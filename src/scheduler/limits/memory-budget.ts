import type { Limits } from "../../domain/limits.ts";

/** What each run holds without being counted: most runs never hold more. */
const freeBytes = 1024 * 1024;

/** The account of one run. */
export type RunMemory = {
  /** Says how many bytes the run holds now. */
  hold(bytes: number): void;
  /** Whether the run, which holds more than others, is to make room before it goes on. */
  readonly isFull: boolean;
};

/** Who holds something beyond that. What only reads has no id. */
type Holder = { readonly organizationId: string; readonly id: string | undefined };

/**
 * How much of what is recorded the runs of this process hold in memory, all together. Each may hold all that is recorded
 * of its execution, and what is bounded for one is not bounded for hundreds.
 *
 * Where there is no room left, a run that wants to go on is put off instead, as a long wait puts it off: nothing of it
 * fails, since what others hold is no fault of its own, and what it holds is in its journal. Were it made to wait in
 * memory, those that wait would keep the room that all of them wait for. One organisation has half of the room, or as
 * much as one execution needs, so that its large executions stand in the way of each other first.
 *
 * First come, first served: the oldest execution that holds something is never put off, and one that is older than all
 * that do is let in beyond the bound, by as much as one execution may have. Were all put off alike, each would wake among
 * others that hold the room, and those that have the most to take in again might never find it.
 */
export class RecordMemory {
  readonly #max: number;
  readonly #shareMax: number;
  /** How much more there is for the oldest. */
  readonly #reserve: number;
  readonly #ofOrganizations = new Map<string, number>();
  readonly #holders = new Set<Holder>();
  #total = 0;

  constructor({ recordsBytesMax, recordsMemoryBytesMax }: Pick<Limits, "recordsBytesMax" | "recordsMemoryBytesMax">) {
    this.#reserve = recordsBytesMax;
    this.#shareMax = Math.max(recordsBytesMax, recordsMemoryBytesMax / 2);
    this.#max = Math.max(recordsMemoryBytesMax, this.#shareMax);
  }

  /** Whether a run of an execution, or a reader without an id, may begin that holds so much from its beginning. */
  hasRoom(organizationId: string, bytes: number, id?: string): boolean {
    const counted = Math.max(0, bytes - freeBytes);
    if (counted === 0 || this.#total === 0) return true;
    const isOver = (used: number, max: number, place?: string) =>
      used + counted > max && (used + counted > max + this.#reserve || !this.#isOldest(id, place));
    return !isOver(this.#total, this.#max) && !isOver(this.#of(organizationId), this.#shareMax, organizationId);
  }

  open(organizationId: string, id?: string): RunMemory {
    const holder = { organizationId, id };
    let counted = 0;
    const hold = (bytes: number) => {
      const next = Math.max(0, bytes - freeBytes);
      if (next === counted) return;
      this.#add(organizationId, next - counted);
      counted = next;
      if (next === 0) this.#holders.delete(holder);
      else this.#holders.add(holder);
    };
    const isFull = () => counted > 0 && this.#isToYield(holder);
    return {
      hold,
      get isFull() {
        return isFull();
      },
    };
  }

  #isToYield({ organizationId, id }: Holder): boolean {
    if (this.#total > this.#max && !this.#isOldest(id)) return true;
    return this.#of(organizationId) > this.#shareMax && !this.#isOldest(id, organizationId);
  }

  /** Whether no older execution holds something, of one organisation or of all. Ids begin with their time. */
  #isOldest(id: string | undefined, organizationId?: string): boolean {
    if (id === undefined) return false;
    for (const holder of this.#holders) {
      const isBeside = organizationId === undefined || holder.organizationId === organizationId;
      if (isBeside && holder.id !== undefined && holder.id < id) return false;
    }
    return true;
  }

  #of(organizationId: string): number {
    return this.#ofOrganizations.get(organizationId) ?? 0;
  }

  #add(organizationId: string, bytes: number): void {
    const next = this.#of(organizationId) + bytes;
    if (next === 0) this.#ofOrganizations.delete(organizationId);
    else this.#ofOrganizations.set(organizationId, next);
    this.#total += bytes;
  }
}
