import { setTimeout as sleep } from "node:timers/promises";
import type { Kysely } from "kysely";
import { isUnavailable } from "./database-errors.ts";
import { type LaneCall, type LaneLimits, organizationOf, StatementLane } from "./statement-lane.ts";
import type { Tables } from "./tables.ts";

/** Bounds of the statements of one batcher. */
export type BatchLimits = LaneLimits & {
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

/**
 * Calls with more text go in statements of their own: a large row takes the database tens of milliseconds, and small ones
 * that share its statement would wait as long.
 */
const smallCharsMax = 64 * 1024;

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
  /** Items with the same key are sent one after the other, in the order of their arrival. */
  readonly keyOf?: (item: Item) => string | undefined;
  /** The size of an item's text. */
  readonly charsOf?: (item: Item) => number;
  /** A statement keeps its place in flight beyond its end for this multiple of its duration; not at all where it is absent. */
  readonly restShare?: number;
};

type Call<Item, Result> = LaneCall & {
  readonly item: Item;
  readonly key: string | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
};

/**
 * Batches calls of one kind into shared statements, as DataLoader batches reads and group commit batches writes: one
 * statement, and one commit, for all calls that wait at the moment. No call waits for company: one that comes alone is sent
 * at once, and those that come while statements are in flight share the next one.
 *
 * Small calls and large ones go in different statements, formed by a `StatementLane` each.
 *
 * One bad row never fails its neighbours: a statement that fails has written nothing, and is sent again for each
 * organisation, and then in halves until the bad row stands alone.
 */
export class StatementBatcher<Item, Result> {
  readonly #options: StatementBatcherOptions<Item, Result>;
  readonly #small: StatementLane<Call<Item, Result>>;
  readonly #large: StatementLane<Call<Item, Result>>;
  /** By key, the calls that wait behind another call with the same key. */
  readonly #behind = new Map<string, Call<Item, Result>[]>();

  constructor(options: StatementBatcherOptions<Item, Result>) {
    this.#options = options;
    const send = (calls: readonly Call<Item, Result>[]) => this.#send(calls);
    this.#small = new StatementLane(options.limits, send);
    this.#large = new StatementLane(options.limits, send);
  }

  call(item: Item): Promise<Result> {
    const { turnOf, keyOf, charsOf } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const path = turnOf?.(item) ?? [];
    this.#wait({ item, path, chars: charsOf?.(item) ?? 0, key: keyOf?.(item), resolve, reject });
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
    this.#push(call);
  }

  #push(call: Call<Item, Result>): void {
    const lane = call.chars > smallCharsMax ? this.#large : this.#small;
    lane.push(call);
  }

  async #send(calls: readonly Call<Item, Result>[]): Promise<void> {
    const { restShare } = this.#options;
    const startTime = performance.now();
    await this.#settle(calls);
    for (const { key } of calls) {
      if (key !== undefined) {
        this.#follow(key);
      }
    }
    if (restShare !== undefined) {
      await sleep(Math.min(restMsMax, restShare * (performance.now() - startTime)));
    }
  }

  /** Queues the next call with this key. */
  #follow(key: string): void {
    const next = this.#behind.get(key)?.shift();
    if (next === undefined) {
      this.#behind.delete(key);
    } else {
      this.#push(next);
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

/** Splits a failed batch by organisation, the smallest part first; one organisation's calls in halves. */
function split<Any extends { readonly path: readonly string[] }>(calls: readonly Any[]): readonly (readonly Any[])[] {
  const groups = [...Map.groupBy(calls, organizationOf).values()];
  if (groups.length > 1) {
    return groups.toSorted((one, other) => one.length - other.length);
  }
  const half = Math.ceil(calls.length / 2);
  return [calls.slice(0, half), calls.slice(half)];
}
