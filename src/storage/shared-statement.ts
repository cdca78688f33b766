import { isUnavailable } from "./faults.ts";

/** How much one statement is shared by calls that come at the same time. */
export type Sharing = {
  /** Calls in one statement. */
  readonly rowsMax: number;
  /** Statements of one kind that the database has at a time. */
  readonly inFlightMax: number;
};

/** With two in flight one is written while the other's commit reaches the disk. */
export const defaultSharing: Sharing = { rowsMax: 128, inFlightMax: 2 };

/** How much text one statement holds, beyond its first call: what is larger is better sent beside others than with them. */
const charsMax = 1024 * 1024;

export type SharedStatementOptions<Item, Result> = {
  readonly sharing: Sharing;
  /** Sends one statement for all the items; answers a result for each, in their order. */
  readonly send: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** Items that say the same here are never in one statement. */
  readonly keyOf?: (item: Item) => string | undefined;
  /** How much text an item is. */
  readonly charsOf?: (item: Item) => number;
};

type Call<Item, Result> = {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
};

/**
 * One statement, and so one commit, for all calls of one kind that wait at the moment. Nobody waits for company: a call
 * that comes alone is sent at once, and those that come while statements are under way share the next one.
 *
 * What fails by one call's row fails for that call alone: the statement, of which then nothing was written, is sent again
 * in halves until the row stands by itself.
 */
export class SharedStatement<Item, Result> {
  readonly #options: SharedStatementOptions<Item, Result>;
  #waiting: Call<Item, Result>[] = [];
  #inFlight = 0;
  #isScheduled = false;

  constructor(options: SharedStatementOptions<Item, Result>) {
    this.#options = options;
  }

  call(item: Item): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#waiting.push({ item, resolve, reject });
    this.#schedule();
    return promise;
  }

  /** Behind all that this turn of the event loop has read: calls that came in one packet go out in one statement. */
  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0 || this.#inFlight >= this.#options.sharing.inFlightMax) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#inFlight += 1;
      void this.#settle(this.#take()).finally(() => {
        this.#inFlight -= 1;
        this.#schedule();
      });
      this.#schedule();
    });
  }

  /** The next calls that go together, in the order of their coming. */
  #take(): readonly Call<Item, Result>[] {
    const { sharing, keyOf, charsOf } = this.#options;
    const taken: Call<Item, Result>[] = [];
    const left: Call<Item, Result>[] = [];
    const keys = new Set<string>();
    let chars = 0;
    for (const [index, call] of this.#waiting.entries()) {
      if (taken.length >= sharing.rowsMax || chars >= charsMax) {
        left.push(...this.#waiting.slice(index));
        break;
      }
      const key = keyOf?.(call.item);
      if (key !== undefined && keys.has(key)) {
        left.push(call);
        continue;
      }
      if (key !== undefined) keys.add(key);
      chars += charsOf?.(call.item) ?? 0;
      taken.push(call);
    }
    this.#waiting = left;
    return taken;
  }

  async #settle(calls: readonly Call<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#options.send(calls.map(({ item }) => item));
      for (const [index, { resolve, reject }] of calls.entries()) {
        if (index in results) resolve(results[index] as Result);
        else reject(new Error("a statement answered fewer rows than it was asked for"));
      }
    } catch (error) {
      // Unavailable is not for one row; and each caller knows best whether to try again.
      if (calls.length === 1 || isUnavailable(error)) {
        for (const { reject } of calls) reject(error);
        return;
      }
      const half = Math.ceil(calls.length / 2);
      await this.#settle(calls.slice(0, half));
      await this.#settle(calls.slice(half));
    }
  }
}
