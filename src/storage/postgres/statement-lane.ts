import { FairQueue } from "../../domain/collections/fair-queue.ts";

/** Bounds of the statements of one lane. */
export type LaneLimits = {
  /** Calls in one statement. */
  readonly rowsMax: number;
  /** Statements in flight at a time; one more for an organisation that has no call in any of them. */
  readonly inFlightMax: number;
};

/** Text in one statement, beyond its first call: a larger one is better sent beside others than with them. */
const charsMax = 1024 * 1024;

/** A call that waits for a statement. */
export type LaneCall = {
  /** Whose it is, from the organisation down. */
  readonly path: readonly string[];
  /** The size of its text. */
  readonly chars: number;
};

/**
 * Forms the statements of calls that wait. They are fair: a statement takes its calls from the organisations round robin,
 * and no more text of one than its part where several wait. An organisation that sends much waits behind itself; a call of
 * another goes in the next statement.
 */
export class StatementLane<Call extends LaneCall> {
  readonly #limits: LaneLimits;
  readonly #send: (calls: readonly Call[]) => Promise<void>;
  readonly #waiting = new FairQueue<Call>();
  /** By organisation, the statements in flight that have calls of it. */
  readonly #inFlightBy = new Map<string, number>();
  #inFlight = 0;
  #isScheduled = false;

  /** @param send sends one statement; it keeps its place in flight until this settles, which never fails */
  constructor(limits: LaneLimits, send: (calls: readonly Call[]) => Promise<void>) {
    this.#limits = limits;
    this.#send = send;
  }

  push(call: Call): void {
    this.#waiting.push(call.path, call);
    this.#schedule();
  }

  /** `setImmediate` runs after this iteration of the event loop has read its sockets: calls of one packet share a statement. */
  #schedule(): void {
    if (this.#isScheduled || !this.#maySend()) {
      return;
    }
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (!this.#maySend()) {
        return;
      }
      const calls = this.#take();
      const organizations = new Set(calls.map(organizationOf));
      this.#inFlight += 1;
      for (const id of organizations) {
        this.#inFlightBy.set(id, (this.#inFlightBy.get(id) ?? 0) + 1);
      }
      void this.#send(calls).finally(() => {
        this.#inFlight -= 1;
        for (const id of organizations) {
          const left = (this.#inFlightBy.get(id) ?? 0) - 1;
          if (left > 0) {
            this.#inFlightBy.set(id, left);
          } else {
            this.#inFlightBy.delete(id);
          }
        }
        this.#schedule();
      });
      this.#schedule();
    });
  }

  #maySend(): boolean {
    const { inFlightMax } = this.#limits;
    if (this.#inFlight < inFlightMax) {
      return this.#waiting.size > 0;
    }
    if (this.#inFlight > inFlightMax) {
      return false;
    }
    for (const id of this.#waiting.tops) {
      if (!this.#inFlightBy.has(id)) {
        return true;
      }
    }
    return false;
  }

  /** Takes the calls of the next statement. */
  #take(): readonly Call[] {
    const { rowsMax, inFlightMax } = this.#limits;
    const tops = [...this.#waiting.tops];
    const isExtra = this.#inFlight >= inFlightMax;
    const taken: Call[] = [];
    const charsBy = new Map<string, number>();
    let chars = 0;
    // First each organisation gets its part, then anyone gets what is left of the statement.
    for (const part of tops.length === 1 ? [charsMax] : [charsMax / tops.length, charsMax]) {
      const isPassed = (id: string) => (isExtra && this.#inFlightBy.has(id)) || (charsBy.get(id) ?? 0) >= part;
      while (taken.length < rowsMax && chars < charsMax) {
        const call = this.#waiting.shift(isPassed);
        if (call === undefined) {
          break;
        }
        const id = organizationOf(call);
        chars += call.chars;
        charsBy.set(id, (charsBy.get(id) ?? 0) + call.chars);
        taken.push(call);
      }
    }
    return taken;
  }
}

export function organizationOf({ path: [id = ""] }: { readonly path: readonly string[] }): string {
  return id;
}
