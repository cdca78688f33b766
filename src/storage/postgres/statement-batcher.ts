import { setTimeout as sleep } from "node:timers/promises";
import type { Kysely } from "kysely";
import { FairQueue } from "../../domain/collections/fair-queue.ts";
import { isUnavailable } from "./database-errors.ts";
import type { Tables } from "./tables.ts";

/** Bounds of the statements of one batcher. */
export type BatchLimits = {
  /** Calls in one statement. */
  readonly rowsMax: number;
  /** Statements in flight at a time; one more for an organisation that has no call in any of them. */
  readonly inFlightMax: number;
  /** Called with each statement that was answered, for metrics. */
  readonly onAnswered?: ((statement: string, rows: number, ms: number) => void) | undefined;
};

/**
 * One of a kind is in flight, as in group commit. With two, Postgres would execute one while the commit of the other reaches
 * the disk, but each would have half of the calls, and what a statement costs by itself is more than that wait.
 */
export const defaultBatchLimits: BatchLimits = { rowsMax: 128, inFlightMax: 1 };

/** Options of a store: `callsDb` runs the statements that serve one caller alone. */
export type StoreOptions = { readonly callsDb?: Kysely<Tables>; readonly batchLimits?: BatchLimits };

/** Text in one statement, beyond its first call: a larger one is better sent beside others than with them. */
const charsMax = 1024 * 1024;

/** The longest rest: a statement may also have taken long because the database was away. */
const restMsMax = 200;

export type StatementBatcherOptions<Item, Result> = {
  /** What the statement does, as `begin`. */
  readonly name: string;
  readonly limits: BatchLimits;
  /** Sends one statement for all the items; answers a result for each, in their order. */
  readonly send: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** The path of an item in the `FairQueue`; absent where nobody knows whose an item is. */
  readonly turnOf?: (item: Item) => readonly string[];
  /** Items with the same key never go in one statement, and are sent in the order of their arrival. */
  readonly keyOf?: (item: Item) => string | undefined;
  /** The size of an item's text. */
  readonly charsOf?: (item: Item) => number;
  /** A statement keeps its place in flight beyond its end for this multiple of its duration; not at all where it is absent. */
  readonly restShare?: number;
};

type Call<Item, Result> = {
  readonly item: Item;
  readonly path: readonly string[];
  readonly key: string | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
};

/**
 * Batches calls of one kind into shared statements, as DataLoader batches reads and group commit batches writes: one
 * statement, and one commit, for all calls that wait at the moment. No call waits for company: one that comes alone is sent
 * at once, and those that come while statements are in flight share the next one.
 *
 * Batches are fair: a statement takes its calls from the organisations round robin, and no more text of one than its part
 * where several wait. An organisation that sends much waits behind itself; a call of another goes in the next statement.
 *
 * One bad row never fails its neighbours: a statement that fails has written nothing, and is sent again for each
 * organisation, and then in halves until the bad row stands alone.
 */
export class StatementBatcher<Item, Result> {
  readonly #options: StatementBatcherOptions<Item, Result>;
  readonly #waiting = new FairQueue<Call<Item, Result>>();
  /** By key, the calls that wait behind another call with the same key. */
  readonly #behind = new Map<string, Call<Item, Result>[]>();
  /** By organisation, the statements in flight that have calls of it. */
  readonly #inFlightBy = new Map<string, number>();
  #inFlight = 0;
  #isScheduled = false;

  constructor(options: StatementBatcherOptions<Item, Result>) {
    this.#options = options;
  }

  call(item: Item): Promise<Result> {
    const { turnOf, keyOf } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#wait({ item, path: turnOf?.(item) ?? [], key: keyOf?.(item), resolve, reject });
    this.#schedule();
    return promise;
  }

  #wait(call: Call<Item, Result>): void {
    const behind = call.key === undefined ? undefined : this.#behind.get(call.key);
    if (behind !== undefined) {
      behind.push(call);
      return;
    }
    if (call.key !== undefined) {
      this.#behind.set(call.key, []);
    }
    this.#waiting.push(call.path, call);
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
      void this.#settleAndRest(calls).finally(() => {
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
    const { inFlightMax } = this.#options.limits;
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
  #take(): readonly Call<Item, Result>[] {
    const { limits, charsOf } = this.#options;
    const tops = [...this.#waiting.tops];
    const isExtra = this.#inFlight >= limits.inFlightMax;
    const taken: Call<Item, Result>[] = [];
    const charsBy = new Map<string, number>();
    let chars = 0;
    // First each organisation gets its part, then anyone gets what is left of the statement.
    for (const part of tops.length === 1 ? [charsMax] : [charsMax / tops.length, charsMax]) {
      const isPassed = (id: string) => (isExtra && this.#inFlightBy.has(id)) || (charsBy.get(id) ?? 0) >= part;
      while (taken.length < limits.rowsMax && chars < charsMax) {
        const call = this.#waiting.shift(isPassed);
        if (call === undefined) {
          break;
        }
        const id = organizationOf(call);
        const more = charsOf?.(call.item) ?? 0;
        chars += more;
        charsBy.set(id, (charsBy.get(id) ?? 0) + more);
        taken.push(call);
      }
    }
    for (const { key } of taken) {
      if (key !== undefined) {
        this.#follow(key);
      }
    }
    return taken;
  }

  /** Queues the next call with this key, for a later statement. */
  #follow(key: string): void {
    const next = this.#behind.get(key)?.shift();
    if (next === undefined) {
      this.#behind.delete(key);
    } else {
      this.#waiting.push(next.path, next);
    }
  }

  async #settleAndRest(calls: readonly Call<Item, Result>[]): Promise<void> {
    const { restShare } = this.#options;
    const startTime = performance.now();
    await this.#settle(calls);
    if (restShare !== undefined) {
      await sleep(Math.min(restMsMax, restShare * (performance.now() - startTime)));
    }
  }

  async #settle(calls: readonly Call<Item, Result>[]): Promise<void> {
    const { name, limits, send } = this.#options;
    const startTime = limits.onAnswered === undefined ? 0 : performance.now();
    try {
      const results = await send(calls.map(({ item }) => item));
      limits.onAnswered?.(name, calls.length, performance.now() - startTime);
      for (const [index, { resolve, reject }] of calls.entries()) {
        if (index in results) {
          resolve(results[index] as Result);
        } else {
          reject(new Error("a statement answered fewer rows than it was asked for"));
        }
      }
    } catch (error) {
      // An unavailable database is no fault of one row, and each caller decides whether it tries again.
      if (calls.length === 1 || isUnavailable(error)) {
        for (const { reject } of calls) {
          reject(error);
        }
        return;
      }
      for (const some of split(calls)) {
        await this.#settle(some);
      }
    }
  }
}

function organizationOf({ path: [id = ""] }: { readonly path: readonly string[] }): string {
  return id;
}

/** Splits a failed batch by organisation, the smallest part first; one organisation's calls in halves. */
function split<Any extends { readonly path: readonly string[] }>(calls: readonly Any[]): readonly (readonly Any[])[] {
  const groups = [...Map.groupBy(calls, organizationOf).values()];
  if (groups.length > 1) {
    return groups.toSorted((one, other) => one.length - other.length);
  }
  const half = Math.ceil(calls.length / 2);
  return [calls.slice(0, half), calls.slice(half)];
}
