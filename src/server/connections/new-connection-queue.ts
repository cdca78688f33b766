import { FairQueue } from "../../domain/fair-queue.ts";

/**
 * How long the next connection waits after one has begun: so many turns of the event loop or so many milliseconds, whichever
 * is over first. `pauseMax` counts while connections are still being accepted. In between, calls on older connections go
 * on, which need several turns each. Where the turns themselves are long, one is enough.
 */
const pause = { loopTurns: 4, ms: 5 };
const pauseMax = { loopTurns: 16, ms: 20 };

/** How long new connections of an address wait for its queued requests. Not for long, since many callers may share it. */
const requestsMs = 100;

/**
 * Connections begin in one turn of the event loop until they have brought so many requests. A connection with one or two
 * requests costs little, and one connection a turn would make many such callers wait for many turns.
 */
const requestsTogether = 16;

/**
 * How long the next connection of an address waits, in milliseconds for each request that the last one brought, where those
 * were more than that: Node reads all of them in one turn of the loop.
 */
const restMsPerRequest = 1.2;

type Waiting = { readonly begin: () => void; readonly requests: number };

export type BeginTurnsOptions = {
  /** How many connections were accepted so far. */
  readonly accepted: () => number;
  /** Whether requests of an address wait for their turn. */
  readonly isWaiting?: (address: string) => boolean;
  /** In milliseconds. */
  readonly now?: () => number;
};

/**
 * Lets new connections begin a few at a time, the addresses by turns, and behind those that are to be accepted.
 *
 * Node accepts one connection in a turn of its event loop. If each began at once, a burst of one caller's would make those
 * of others wait in the system's queue, a turn for each, while all that was sent ahead on the first is served.
 *
 * An address whose requests wait has no further connection begun until they are served, nor one that has just begun a
 * connection by which many came ahead: they are all read in one turn of the loop.
 */
export class BeginTurns {
  readonly #accepted: () => number;
  readonly #isWaiting: (address: string) => boolean;
  readonly #now: () => number;
  readonly #waiting = new FairQueue<Waiting>();
  /** Until when addresses rest. */
  readonly #rests = new Map<string, number>();
  #acceptedBefore = 0;
  #loopTurns = 0;
  #beginTime = 0;
  #isBusy = false;

  constructor({ accepted, isWaiting = () => false, now = () => performance.now() }: BeginTurnsOptions) {
    this.#accepted = accepted;
    this.#isWaiting = isWaiting;
    this.#now = now;
  }

  /** When a connection of an address may begin that has brought so many requests; undefined: now. */
  take(address: string, requests: number): Promise<void> | undefined {
    const mayBegin = !this.#isBusy && !this.#isWaiting(address) && !this.#rests.has(address);
    if (mayBegin) this.#rest(address, requests);
    const turn = mayBegin ? undefined : this.#wait(address, requests);
    if (!this.#isBusy) {
      this.#isBusy = true;
      this.#pauseThenGoOn();
    }
    return turn;
  }

  #wait(address: string, requests: number): Promise<void> {
    return new Promise((resolve) => {
      const begin = () => {
        this.#rest(address, requests);
        resolve();
      };
      this.#waiting.push([address], { begin, requests });
    });
  }

  #rest(address: string, requests: number): void {
    if (requests > requestsTogether) this.#rests.set(address, this.#now() + restMsPerRequest * requests);
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
      if (this.#beginSome()) this.#pauseThenGoOn();
      else if (this.#rests.size > 0) this.#waitLonger();
      else if (this.#waiting.size > 0) this.#waitForTurn();
      else this.#isBusy = false;
    });
  }

  /** A turn of the loop that waits for nothing would keep the processor busy until the next one. */
  #waitLonger(): void {
    setTimeout(() => this.#waitForTurn(), 1);
  }

  /** Whether any has begun. */
  #beginSome(): boolean {
    const now = this.#now();
    for (const [address, time] of this.#rests) if (time <= now) this.#rests.delete(address);
    const isLate = now - this.#beginTime > requestsMs;
    const isPassed = (address: string) => this.#rests.has(address) || (!isLate && this.#isWaiting(address));
    let requests = 0;
    while (requests < requestsTogether) {
      const next = this.#waiting.shift(isPassed);
      if (next === undefined) break;
      next.begin();
      requests += next.requests;
    }
    return requests > 0;
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
