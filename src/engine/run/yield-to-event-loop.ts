import { FairQueue } from "../../domain/fair-queue.ts";

/** The longest rest of an organisation whose step held the thread. */
const restMsMax = 250;

/** An organisation rests only if another one has asked for a turn within this time. */
const othersMs = 1_000;

type Waiting = { readonly top: string; readonly begin: () => void };

/**
 * The turns of one thread, for work that waits for nothing: a run of many nodes, a replay, a definition that is compiled.
 * Such work goes on in microtasks, and nothing else would run before its end. So it asks at each step whether the slice
 * is over, and waits for another turn where it is. Turns go to organisations and environments by turns, a slice in each
 * turn of the event loop, so that whoever has much to do waits behind itself. One for the process.
 *
 * Some steps cannot be interrupted, for example the parsing of a text of one mebibyte. An organisation whose step held the
 * thread for more than twice the slice rests for as long as the step took, while others ask for turns. A call of another
 * organisation needs several turns of the event loop, and so waits for one such step instead of one in each turn.
 */
export class Turns {
  readonly #waiting = new FairQueue<Waiting>();
  readonly #sliceMs: number;
  /** When the rest of each resting organisation ends. */
  readonly #rests = new Map<string, number>();
  /** Who has the turn, and since when. */
  #turn: { readonly top: string; readonly time: number } | undefined;
  /** Who asked last, and when that was another than before. */
  #lastTop: string | undefined;
  #changeTime = Number.NEGATIVE_INFINITY;
  #sliceStart = 0;
  /** Whether a slice has begun in this turn of the event loop. */
  #hasBegun = false;
  #isPassing = false;

  /** @param sliceMs how long work may hold the thread before others get it: I/O, timers, the lease */
  constructor({ sliceMs = 5 } = {}) {
    this.#sliceMs = sliceMs;
  }

  /** Whether the slice is over: then wait for the next turn. It begins with who asks first in a turn of the event loop. */
  get isOver(): boolean {
    if (this.#hasBegun) return performance.now() - this.#sliceStart > this.#sliceMs;
    this.#begin();
    return false;
  }

  /** Begins at once where the slice is not over; else it settles when it is the turn. See `next`. */
  take(path: readonly string[]): Promise<void> | undefined {
    const [top = ""] = path;
    if (this.isOver || this.#isResting(top)) return this.next(path);
    this.#hear(top);
    this.#beginTurn(top);
    afterMicrotasks(() => this.#endTurn());
    return undefined;
  }

  /** Settles when it is the turn of those who wait under this path, as `[organizationId, environmentId]`. */
  async next(path: readonly string[]): Promise<void> {
    const [top = ""] = path;
    this.#hear(top);
    const turn = new Promise<void>((begin) => this.#waiting.push(path, { top, begin }));
    if (!this.#isPassing) this.#passSoon();
    await turn;
  }

  #begin(): void {
    this.#sliceStart = performance.now();
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    setImmediate(() => {
      this.#hasBegun = false;
    });
  }

  #passSoon(): void {
    this.#isPassing = true;
    setImmediate(() => {
      this.#begin();
      this.#pass();
    });
  }

  /** Passes the slice on from one to the next. What takes little time goes on together, and shares its statements then. */
  #pass(): void {
    const next = this.#waiting.shift(this.#rests.size === 0 ? undefined : this.#isResting);
    if (next === undefined) {
      // All that wait rest.
      setTimeout(() => this.#goOn(), 1);
      return;
    }
    this.#beginTurn(next.top);
    next.begin();
    afterMicrotasks(() => this.#goOn());
  }

  #goOn(): void {
    this.#endTurn();
    if (this.#waiting.size === 0) this.#isPassing = false;
    else if (this.isOver) this.#passSoon();
    else this.#pass();
  }

  #beginTurn(top: string): void {
    this.#endTurn();
    this.#turn = { top, time: performance.now() };
  }

  #endTurn(): void {
    if (this.#turn === undefined) return;
    const { top, time } = this.#turn;
    this.#turn = undefined;
    const now = performance.now();
    const heldMs = now - time;
    const hasOthers = now - this.#changeTime < othersMs;
    if (!hasOthers || heldMs <= 2 * this.#sliceMs) return;
    // Who does not come back would stay here.
    for (const [other, until] of this.#rests) if (until <= now) this.#rests.delete(other);
    this.#rests.set(top, now + Math.min(heldMs, restMsMax));
  }

  #hear(top: string): void {
    if (top === this.#lastTop) return;
    if (this.#lastTop !== undefined) this.#changeTime = performance.now();
    this.#lastTop = top;
  }

  readonly #isResting = (top: string): boolean => {
    const until = this.#rests.get(top);
    if (until === undefined || until > performance.now()) return until !== undefined;
    this.#rests.delete(top);
    return false;
  };
}

/** A nextTick callback that a microtask schedules runs when no microtask is left, and so behind what the owner does. */
function afterMicrotasks(goOn: () => void): void {
  queueMicrotask(() => process.nextTick(goOn));
}
