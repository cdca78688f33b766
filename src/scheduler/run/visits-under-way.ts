import type { NodeRun } from "../../domain/execution.ts";
import { begunRecord } from "../../domain/under-way.ts";
import type { UnderWay } from "../../engine/journal/journal.ts";

/** How long a node is under way before a record says so. */
export const begunAfterMs = 250;

/** The visits of one run that are under way, as an intrusive linked list: entering and leaving allocate nothing. */
export class VisitsUnderWay {
  #first: UnderWay | undefined;

  enter(visit: UnderWay, now: number): void {
    this.leave(visit);
    visit.since = now;
    visit.next = this.#first;
    if (this.#first !== undefined) {
      this.#first.previous = visit;
    }
    this.#first = visit;
  }

  /** Removes a visit, if it is in the list. */
  leave(visit: UnderWay): void {
    const { next, previous } = visit;
    if (previous !== undefined) {
      previous.next = next;
    } else if (this.#first === visit) {
      this.#first = next;
    }
    if (next !== undefined) {
      next.previous = previous;
    }
    visit.next = undefined;
    visit.previous = undefined;
  }

  /** Makes a record, once, for each visit that has been under way for a while. */
  *takeBegun(now: number): Generator<NodeRun> {
    for (let visit = this.#first; visit !== undefined; visit = visit.next) {
      if (now - visit.since < begunAfterMs) {
        continue;
      }
      visit.since = Number.POSITIVE_INFINITY;
      yield begunRecord(visit);
    }
  }
}
