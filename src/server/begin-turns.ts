import { FairQueue } from "../domain/fair-queue.ts";

/**
 * So many turns of the event loop after one the next connection begins, and where more are still to be accepted, so many:
 * what a connection has sent ahead is much work, and a call of those that are there needs several turns.
 */
const loopTurnsMin = 4;
const loopTurnsMax = 16;

/**
 * Lets new connections begin one after the other, the addresses by turns, and behind those that are to be accepted.
 *
 * Node accepts one connection in a turn of its event loop. If each began at once, a burst of one caller's would make those
 * of others wait in the system's queue, a turn for each, while all that was sent ahead on the first is served.
 */
export class BeginTurns {
  readonly #accepted: () => number;
  readonly #waiting = new FairQueue<() => void>();
  #acceptedBefore = 0;
  #loopTurns = 0;
  #isBusy = false;

  /** @param accepted how many connections were accepted so far */
  constructor(accepted: () => number) {
    this.#accepted = accepted;
  }

  /** When a connection of an address may begin; undefined: now. */
  take(address: string): Promise<void> | undefined {
    if (!this.#isBusy) {
      this.#isBusy = true;
      this.#waitForTurn();
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.push([address], resolve));
  }

  #waitForTurn(): void {
    setImmediate(() => {
      if (this.#mustWait()) {
        this.#waitForTurn();
        return;
      }
      this.#loopTurns = 0;
      const begin = this.#waiting.shift();
      if (begin === undefined) this.#isBusy = false;
      else {
        begin();
        this.#waitForTurn();
      }
    });
  }

  /** Where a connection was accepted in the last turn of the loop, more may wait behind it. */
  #mustWait(): boolean {
    const accepted = this.#accepted();
    const isAccepting = accepted !== this.#acceptedBefore;
    this.#acceptedBefore = accepted;
    this.#loopTurns += 1;
    return this.#loopTurns < (isAccepting ? loopTurnsMax : loopTurnsMin);
  }
}
