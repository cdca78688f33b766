import { setTimeout as sleep } from "node:timers/promises";
import type { Kysely } from "kysely";
import { FairQueue } from "../../domain/fair-queue.ts";
import { isUnavailable } from "./database-errors.ts";
import type { Tables } from "./tables.ts";

/** How much one statement is shared by calls that come at the same time. */
export type Sharing = {
  /** Calls in one statement. */
  readonly rowsMax: number;
  /** Statements of one kind that the database has at a time; and one more for an organisation that has a part in none. */
  readonly inFlightMax: number;
};

/** With two in flight one is written while the other's commit reaches the disk. */
export const defaultSharing: Sharing = { rowsMax: 128, inFlightMax: 2 };

/** How a store reaches the database for its calls: what a caller does for itself is on `callsDb`, where there is one. */
export type CallsOptions = { readonly callsDb?: Kysely<Tables>; readonly sharing?: Sharing };

/** How much text one statement holds, beyond its first call: what is larger is better sent beside others than with them. */
const charsMax = 1024 * 1024;

/** The longest rest: a statement may also have taken long because the database was away. */
const restMsMax = 200;

export type SharedStatementOptions<Item, Result> = {
  readonly sharing: Sharing;
  /** Sends one statement for all the items; answers a result for each, in their order. */
  readonly send: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** Whose turn takes an item, as a path in a `FairQueue`; absent where nobody knows whose an item is. */
  readonly turnOf?: (item: Item) => readonly string[];
  /** Items that say the same here are never in one statement, and are sent in the order of their coming. */
  readonly keyOf?: (item: Item) => string | undefined;
  /** How much text an item is. */
  readonly charsOf?: (item: Item) => number;
  /** How long a statement keeps its place beyond its end, as a part of the time that it took; not at all where it is absent. */
  readonly restShare?: number;
};

type Call<Item, Result> = {
  readonly item: Item;
  readonly turn: readonly string[];
  readonly key: string | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
};

/**
 * One statement, and so one commit, for all calls of one kind that wait at the moment. Nobody waits for company: a call
 * that comes alone is sent at once, and those that come while statements are under way share the next one.
 *
 * A statement takes its calls by turns, and where several organisations wait, no more text of one than its part. Who
 * sends much waits behind itself: another's call is in the next statement, or in one of its own at once.
 *
 * What fails by one call's row fails for that call alone: the statement, of which then nothing was written, is sent again
 * for each organisation, and then in halves until the row stands by itself.
 */
export class SharedStatement<Item, Result> {
  readonly #options: SharedStatementOptions<Item, Result>;
  readonly #waiting = new FairQueue<Call<Item, Result>>();
  /** By the keys of calls that wait, the calls behind them with the same key. */
  readonly #behind = new Map<string, Call<Item, Result>[]>();
  /** In how many statements under way an organisation has a part. */
  readonly #parts = new Map<string, number>();
  #inFlight = 0;
  #isScheduled = false;

  constructor(options: SharedStatementOptions<Item, Result>) {
    this.#options = options;
  }

  call(item: Item): Promise<Result> {
    const { turnOf, keyOf } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#wait({ item, turn: turnOf?.(item) ?? [], key: keyOf?.(item), resolve, reject });
    this.#schedule();
    return promise;
  }

  #wait(call: Call<Item, Result>): void {
    const behind = call.key === undefined ? undefined : this.#behind.get(call.key);
    if (behind !== undefined) {
      behind.push(call);
      return;
    }
    if (call.key !== undefined) this.#behind.set(call.key, []);
    this.#waiting.push(call.turn, call);
  }

  /** Behind all that this turn of the event loop has read: calls that came in one packet go out in one statement. */
  #schedule(): void {
    if (this.#isScheduled || !this.#maySend()) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (!this.#maySend()) return;
      const calls = this.#take();
      const organizations = new Set(calls.map(organizationOf));
      this.#inFlight += 1;
      for (const id of organizations) this.#parts.set(id, (this.#parts.get(id) ?? 0) + 1);
      void this.#settleAndRest(calls).finally(() => {
        this.#inFlight -= 1;
        for (const id of organizations) {
          const left = (this.#parts.get(id) ?? 0) - 1;
          if (left > 0) this.#parts.set(id, left);
          else this.#parts.delete(id);
        }
        this.#schedule();
      });
      this.#schedule();
    });
  }

  #maySend(): boolean {
    const { inFlightMax } = this.#options.sharing;
    if (this.#inFlight < inFlightMax) return this.#waiting.size > 0;
    if (this.#inFlight > inFlightMax) return false;
    for (const id of this.#waiting.tops) if (!this.#parts.has(id)) return true;
    return false;
  }

  /** The next calls that go together. */
  #take(): readonly Call<Item, Result>[] {
    const { sharing, charsOf } = this.#options;
    const tops = [...this.#waiting.tops];
    const isExtra = this.#inFlight >= sharing.inFlightMax;
    const taken: Call<Item, Result>[] = [];
    const charsBy = new Map<string, number>();
    let chars = 0;
    // First a part for each, and then what is left of the statement.
    for (const part of tops.length === 1 ? [charsMax] : [charsMax / tops.length, charsMax]) {
      const isPassed = (id: string) => (isExtra && this.#parts.has(id)) || (charsBy.get(id) ?? 0) >= part;
      while (taken.length < sharing.rowsMax && chars < charsMax) {
        const call = this.#waiting.shift(isPassed);
        if (call === undefined) break;
        const id = organizationOf(call);
        const more = charsOf?.(call.item) ?? 0;
        chars += more;
        charsBy.set(id, (charsBy.get(id) ?? 0) + more);
        taken.push(call);
      }
    }
    for (const { key } of taken) if (key !== undefined) this.#follow(key);
    return taken;
  }

  /** Lets the next call with a key wait for its turn, in a later statement. */
  #follow(key: string): void {
    const next = this.#behind.get(key)?.shift();
    if (next === undefined) this.#behind.delete(key);
    else this.#waiting.push(next.turn, next);
  }

  async #settleAndRest(calls: readonly Call<Item, Result>[]): Promise<void> {
    const { restShare } = this.#options;
    const startTime = performance.now();
    await this.#settle(calls);
    if (restShare !== undefined) await sleep(Math.min(restMsMax, restShare * (performance.now() - startTime)));
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
      for (const some of apart(calls)) await this.#settle(some);
    }
  }
}

function organizationOf({ turn: [id = ""] }: { readonly turn: readonly string[] }): string {
  return id;
}

/** By organisation, those who have few first; those of one organisation in halves. */
function apart<Any extends { readonly turn: readonly string[] }>(calls: readonly Any[]): readonly (readonly Any[])[] {
  const groups = [...Map.groupBy(calls, organizationOf).values()];
  if (groups.length > 1) return groups.toSorted((one, other) => one.length - other.length);
  const half = Math.ceil(calls.length / 2);
  return [calls.slice(0, half), calls.slice(half)];
}
