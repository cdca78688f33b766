import { FairQueue } from "../domain/fair-queue.ts";

/**
 * How long the next connection waits after one has begun: so many turns of the event loop or so many milliseconds, whichever
 * is over first. `pauseMax` counts while connections are still being accepted. In between, calls on older connections go
 * on, which need several turns each. Where the turns themselves are long, one is enough.
 */
const pause = { loopTurns: 4, ms: 5 };
const pauseMax = { loopTurns: 16, ms: 20 };

/**
 * Lets new connections begin one after the other, the addresses by turns, and behind those that are to be accepted.
 *
 * Node accepts one connection in a turn of its event loop. If each began at once, a burst of one caller's would make those
 * of others wait in the system's queue, a turn for each, while all that was sent ahead on the first is served.
 */
export class BeginTurns {
  readonly #accepted: () => number;
  readonly #now: () => number;
  readonly #waiting = new FairQueue<() => void>();
  #acceptedBefore = 0;
  #loopTurns = 0;
  #beginTime = 0;
  #isBusy = false;

  /**
   * @param accepted how many connections were accepted so far
   * @param now in milliseconds
   */
  constructor(accepted: () => number, now = () => performance.now()) {
    this.#accepted = accepted;
    this.#now = now;
  }

  /** When a connection of an address may begin; undefined: now. */
  take(address: string): Promise<void> | undefined {
    if (!this.#isBusy) {
      this.#isBusy = true;
      this.#pauseThenGoOn();
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.push([address], resolve));
  }

  #pauseThenGoOn(): void {
    this.#loopTurns = 0;
    this.#beginTime = this.#now();
    this.#waitForTurn();
  }

  #waitForTurn(): void {
    setImmediate(() => {
      if (this.#mustWait()) {
        this.#waitForTurn();
        return;
      }
      const begin = this.#waiting.shift();
      if (begin === undefined) this.#isBusy = false;
      else {
        begin();
        this.#pauseThenGoOn();
      }
    });
  }

  /** Where a connection was accepted in the last turn of the loop, more may wait behind it. */
  #mustWait(): boolean {
    const accepted = this.#accepted();
    const { loopTurns, ms } = accepted === this.#acceptedBefore ? pause : pauseMax;
    this.#acceptedBefore = accepted;
    this.#loopTurns += 1;
    return this.#loopTurns < loopTurns && this.#now() - this.#beginTime < ms;
  }
}
