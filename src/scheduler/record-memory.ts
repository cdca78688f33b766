import type { Limits } from "../domain/limits.ts";

/** What each run holds without being counted: most runs never hold more. */
const freeBytes = 1024 * 1024;

/** The account of one run. */
export type RunMemory = {
  /** Says how many bytes the run holds now. */
  hold(bytes: number): void;
  /** Whether the run, which holds more than others, is to make room before it goes on. */
  readonly isFull: boolean;
};

/**
 * How much of what is recorded the runs of this process hold in memory, all together. Each may hold all that is recorded
 * of its execution, and what is bounded for one is not bounded for hundreds.
 *
 * Where there is no room left, a run that wants to go on is put off instead, as a long wait puts it off: nothing of it
 * fails, since what others hold is no fault of its own, and what it holds is in its journal. Were it made to wait in
 * memory, those that wait would keep the room that all of them wait for. One organisation has half of the room, or as
 * much as one execution needs, so that its large executions stand in the way of each other first.
 */
export class RecordMemory {
  readonly #max: number;
  readonly #shareMax: number;
  readonly #ofOrganizations = new Map<string, number>();
  #total = 0;

  constructor({ recordsBytesMax, recordsMemoryBytesMax }: Pick<Limits, "recordsBytesMax" | "recordsMemoryBytesMax">) {
    this.#shareMax = Math.max(recordsBytesMax, recordsMemoryBytesMax / 2);
    this.#max = Math.max(recordsMemoryBytesMax, this.#shareMax);
  }

  /** Whether a run may begin that holds so much from its beginning. */
  hasRoom(organizationId: string, bytes: number): boolean {
    const counted = Math.max(0, bytes - freeBytes);
    if (counted === 0 || this.#total === 0) return true;
    return this.#total + counted <= this.#max && this.#of(organizationId) + counted <= this.#shareMax;
  }

  open(organizationId: string): RunMemory {
    let counted = 0;
    const add = (bytes: number) => this.#add(organizationId, bytes);
    const isFull = () => counted > 0 && (this.#total > this.#max || this.#of(organizationId) > this.#shareMax);
    return {
      hold: (bytes) => {
        const next = Math.max(0, bytes - freeBytes);
        if (next === counted) return;
        add(next - counted);
        counted = next;
      },
      get isFull() {
        return isFull();
      },
    };
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
