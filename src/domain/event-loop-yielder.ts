import { FairQueue } from "./collections/fair-queue.ts";

/** A pause is this many times as long as the step: its data is collected and sent to the database after it. */
const pauseShare = 2;

/** The longest pause of an organisation whose step blocked the thread. */
const pauseMsMax = 250;

/** An organisation pauses only if another one has asked for the thread within this time. */
const othersMs = 1_000;

type Waiting = { readonly organization: string; readonly begin: () => void };

/**
 * Cooperative multitasking: shares the thread in time slices, for work that otherwise runs in microtasks until its end and
 * blocks the event loop (a run of many nodes, a replay, the compiling of a definition, the parsing of a body). Such work asks after each step whether
 * the slice is over, and then waits for the next one. Waiting work is in a fair queue: organisations, and within one its
 * environments, take turns (round-robin), one slice in each iteration of the event loop. There is one for the requests and
 * executions of a process: with one each, every iteration would hold a long step of each.
 *
 * Some steps cannot be interrupted, for example the parsing of one mebibyte of text. An organisation whose step blocked the
 * thread for more than two slices pauses for twice as long as the step took, if others ask for the thread. A call of another
 * organisation needs several iterations of the event loop; without the pause it would wait for such a step in each of them.
 */
export class EventLoopYielder {
  readonly #waiting = new FairQueue<Waiting>();
  readonly #sliceMs: number;
  /** The end of the pause of each organisation that pauses. */
  readonly #pauses = new Map<string, number>();
  /** The organisation that has the thread, and since when. */
  #current: { readonly organization: string; readonly time: number } | undefined;
  /** The organisation that asked last, and when this last changed. */
  #lastOrganization: string | undefined;
  #changeTime = Number.NEGATIVE_INFINITY;
  #sliceStart = 0;
  /** Whether a slice has started in this iteration of the event loop. */
  #hasStarted = false;
  #isAssigning = false;

  /** @param sliceMs the length of a slice, after which I/O, timers and the renewal of the lease get the thread */
  constructor({ sliceMs = 5 } = {}) {
    this.#sliceMs = sliceMs;
  }

  /** Whether the slice is over. A slice starts with the first question in an iteration of the event loop. */
  get isSliceOver(): boolean {
    if (this.#hasStarted) {
      return performance.now() - this.#sliceStart > this.#sliceMs;
    }
    this.#startSlice();
    return false;
  }

  /** Gives undefined if the caller may go on at once, else the promise of `nextSlice`. */
  yieldIfOver(path: readonly string[]): Promise<void> | undefined {
    const [organization = ""] = path;
    if (this.isSliceOver || this.#isPausing(organization)) {
      return this.nextSlice(path);
    }
    this.#noteRequest(organization);
    this.#startTurn(organization);
    afterMicrotasks(() => this.#endTurn());
    return undefined;
  }

  /** Waits for the next slice of a path, `[organizationId, environmentId]`. */
  async nextSlice(path: readonly string[]): Promise<void> {
    const [organization = ""] = path;
    this.#noteRequest(organization);
    const turn = new Promise<void>((begin) => this.#waiting.push(path, { organization, begin }));
    if (!this.#isAssigning) {
      this.#assignSoon();
    }
    await turn;
  }

  #startSlice(): void {
    this.#sliceStart = performance.now();
    if (this.#hasStarted) {
      return;
    }
    this.#hasStarted = true;
    setImmediate(() => {
      this.#hasStarted = false;
    });
  }

  #assignSoon(): void {
    this.#isAssigning = true;
    setImmediate(() => {
      this.#startSlice();
      this.#assignNext();
    });
  }

  /** Gives the rest of the slice to the next in the queue. Short pieces so run together, and share database statements. */
  #assignNext(): void {
    const next = this.#waiting.shift(this.#pauses.size === 0 ? undefined : this.#isPausing);
    if (next === undefined) {
      // All that wait are pausing.
      setTimeout(() => this.#continue(), 1);
      return;
    }
    this.#startTurn(next.organization);
    next.begin();
    afterMicrotasks(() => this.#continue());
  }

  #continue(): void {
    this.#endTurn();
    if (this.#waiting.size === 0) {
      this.#isAssigning = false;
    } else if (this.isSliceOver) {
      this.#assignSoon();
    } else {
      this.#assignNext();
    }
  }

  #startTurn(organization: string): void {
    this.#endTurn();
    this.#current = { organization, time: performance.now() };
  }

  #endTurn(): void {
    if (this.#current === undefined) {
      return;
    }
    const { organization, time } = this.#current;
    this.#current = undefined;
    const now = performance.now();
    const heldMs = now - time;
    const hasOthers = now - this.#changeTime < othersMs;
    if (!hasOthers || heldMs <= 2 * this.#sliceMs) {
      return;
    }
    // Organisations that do not come back are removed.
    for (const [other, until] of this.#pauses) {
      if (until <= now) {
        this.#pauses.delete(other);
      }
    }
    this.#pauses.set(organization, now + Math.min(pauseShare * heldMs, pauseMsMax));
  }

  #noteRequest(organization: string): void {
    if (organization === this.#lastOrganization) {
      return;
    }
    if (this.#lastOrganization !== undefined) {
      this.#changeTime = performance.now();
    }
    this.#lastOrganization = organization;
  }

  readonly #isPausing = (organization: string): boolean => {
    const until = this.#pauses.get(organization);
    if (until === undefined || until > performance.now()) {
      return until !== undefined;
    }
    this.#pauses.delete(organization);
    return false;
  };
}

/** A nextTick callback that a microtask schedules runs when no microtask is left: after all that the owner does now. */
function afterMicrotasks(goOn: () => void): void {
  queueMicrotask(() => process.nextTick(goOn));
}
