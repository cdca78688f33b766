import type { NodeRun } from "../../domain/execution.ts";
import { begunRecord } from "../../domain/under-way.ts";
import type { UnderWay } from "../../engine/journal/journal.ts";

/** How long a node is under way before that is recorded. */
export const begunAfterMs = 250;

/** The visits of one run that are under way: a chain through them, so that a fast one costs no memory. */
export class VisitsUnderWay {
  #first: UnderWay | undefined;

  enter(visit: UnderWay, now: number): void {
    this.leave(visit);
    visit.since = now;
    visit.next = this.#first;
    if (this.#first !== undefined) this.#first.previous = visit;
    this.#first = visit;
  }

  /** Takes a visit out, if it is in. */
  leave(visit: UnderWay): void {
    const { next, previous } = visit;
    if (previous !== undefined) previous.next = next;
    else if (this.#first === visit) this.#first = next;
    if (next !== undefined) next.previous = previous;
    visit.next = undefined;
    visit.previous = undefined;
  }

  /** The records of those that have been under way for long, each once. */
  *takeBegun(now: number): Generator<NodeRun> {
    for (let visit = this.#first; visit !== undefined; visit = visit.next) {
      if (now - visit.since < begunAfterMs) continue;
      visit.since = Number.POSITIVE_INFINITY;
      yield begunRecord(visit);
    }
  }
}
