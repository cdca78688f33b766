import type { Logger } from "pino";
import { type EventCursor, eventIdRefused } from "../domain/event-cursor.ts";
import { RequestError } from "../domain/request-error.ts";
import type { Service } from "../domain/service.ts";
import type { EndNews, ExecutionEvents, ExecutionNews, JournalFact } from "../storage/execution-events.ts";
import type { FoundExecution } from "../storage/execution-reader.ts";
import { Feed } from "./feed.ts";
import { Loop } from "./loop.ts";

/** How often the journals are read again: the net under the word of who writes them, and all there is elsewhere. */
const rereadMs = 500;

export type WatchersOptions = {
  readonly events: ExecutionEvents;
  /** Watchers at a time. */
  readonly watchersMax: number;
  readonly log: Logger;
};

/** What a watcher is told, each with its place among the execution's events. */
export type WatchedFact =
  | { readonly kind: "accepted"; readonly cursor: EventCursor }
  | { readonly kind: "run"; readonly cursor: EventCursor; readonly run: JournalFact["run"] }
  | { readonly kind: "end"; readonly cursor: EventCursor; readonly end: EndNews };

/**
 * Those who watch executions, wherever these run. What is told is what the journal holds, read past the place where each
 * watcher is; nothing is told that is not recorded.
 *
 * The journals of all watched executions are read in one statement, however many watch. Only a watcher that is further
 * behind than what is kept here reads for itself, at its own pace.
 */
export class Watchers implements Service {
  readonly #options: WatchersOptions;
  readonly #feeds = new Map<string, Feed>();
  readonly #loop: Loop;
  #watchers = 0;

  constructor(options: WatchersOptions) {
    this.#options = options;
    this.#loop = new Loop({ name: "watchers", everyMs: rereadMs, turn: () => this.#reread(), log: options.log });
  }

  async start(): Promise<void> {
    await this.#loop.start();
  }

  async stop(): Promise<void> {
    await this.#loop.stop();
  }

  /** Says that there may be more of some executions, or of any: a hint, which may be wrong and may be missing. */
  wake(ids: readonly string[] | undefined): void {
    if (ids?.some((id) => this.#feeds.has(id)) ?? this.#feeds.size > 0) this.#loop.wake();
  }

  /** Everything, or what is behind a cursor, to the execution's end or until the signal aborts. Throws RequestError. */
  async *watch(
    execution: FoundExecution,
    { behind, signal }: { readonly behind: EventCursor | undefined; readonly signal: AbortSignal },
  ): AsyncGenerator<WatchedFact> {
    const { watchersMax } = this.#options;
    if (this.#watchers >= watchersMax) throw tooManyWatchers(watchersMax);
    this.#watchers += 1;
    try {
      const from = behind === undefined ? firstPlace : await this.#placeBehind(execution, behind);
      if (behind === undefined) yield { kind: "accepted", cursor: { at: "start" } };
      if (from !== undefined) yield* this.#read(execution, from, signal);
    } finally {
      this.#watchers -= 1;
    }
  }

  /** Where to read on; undefined behind the end. Refuses a cursor that the execution has never given. */
  async #placeBehind(execution: FoundExecution, cursor: EventCursor): Promise<Place | undefined> {
    if (cursor.at === "start") return firstPlace;
    const nextFlush = cursor.at === "end" ? flushMax : cursor.flush;
    const [news] = await this.#options.events.read([{ ...execution, nextFlush }]);
    if (cursor.at === "end") {
      if (news?.kind !== "end") throw eventIdRefused();
      return undefined;
    }
    const { flush, entry } = cursor;
    const isThere = news?.kind === "flush" && news.index === flush && entry < news.entries;
    if (!isThere) throw eventIdRefused();
    return { flush, entry: entry + 1 };
  }

  async *#read(execution: FoundExecution, from: Place, signal: AbortSignal): AsyncGenerator<WatchedFact> {
    const feed = this.#join(execution, from.flush);
    try {
      for (let flush = from.flush; ; ) {
        const news = await this.#next(feed, { ...execution, flush }, signal);
        if (news === undefined) return;
        if (news.kind === "end") {
          yield { kind: "end", cursor: { at: "end" }, end: news };
          return;
        }
        for (const { entry, run } of news.facts) {
          if (news.index > from.flush || entry >= from.entry) {
            yield { kind: "run", cursor: { at: "entry", flush: news.index, entry }, run };
          }
        }
        flush = news.index + 1;
      }
    } finally {
      this.#leave(execution, feed);
    }
  }

  /** What follows at a flush; undefined when the signal aborts before there is anything. */
  async #next(
    feed: Feed,
    { flush, ...execution }: FoundExecution & { readonly flush: number },
    signal: AbortSignal,
  ): Promise<ExecutionNews | undefined> {
    while (!signal.aborted) {
      if (feed.hasDropped(flush)) {
        const [news] = await this.#options.events.read([{ ...execution, nextFlush: flush }]);
        return news;
      }
      const news = feed.find(flush);
      if (news !== undefined) return news;
      await feed.wait(signal);
    }
    return undefined;
  }

  #join(execution: FoundExecution, nextFlush: number): Feed {
    const feed = this.#feeds.get(execution.id) ?? new Feed({ ...execution, nextFlush });
    this.#feeds.set(execution.id, feed);
    feed.watchers += 1;
    this.#loop.wake();
    return feed;
  }

  #leave({ id }: FoundExecution, feed: Feed): void {
    feed.watchers -= 1;
    if (feed.watchers === 0) this.#feeds.delete(id);
  }

  /** Reads on for all that are watched, until there is nothing more. */
  async #reread(): Promise<void> {
    for (let isMore = true; isMore; ) {
      const feeds = new Map(this.#feeds);
      const places = [...feeds.values()].flatMap(({ place }) => place ?? []);
      const news = await this.#options.events.read(places);
      for (const one of news) feeds.get(one.executionId)?.add(one);
      isMore = news.length > 0;
    }
  }
}

/** An entry of a journal, which may not be there yet. */
type Place = { readonly flush: number; readonly entry: number };

const firstPlace: Place = { flush: 0, entry: 0 };

/** Behind every flush. */
const flushMax = 2 ** 31 - 1;

function tooManyWatchers(max: number): RequestError {
  return new RequestError("WATCHERS_FULL", `${max} watch executions on this process already. Try again later.`, {
    metadata: { limit: "watchers", value: String(max) },
    retryAfterSeconds: 1,
  });
}
