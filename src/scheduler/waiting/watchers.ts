import type { Logger } from "pino";
import { type Tenant, turnOfTenant } from "../../domain/account.ts";
import { type EventCursor, eventIdRefused } from "../../domain/event-cursor.ts";
import { FairQueue } from "../../domain/fair-queue.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Service } from "../../domain/service.ts";
import type {
  EndEvent,
  ExecutionEvents,
  JournalEvent,
  JournalFact,
  JournalPlace,
} from "../../storage/history/execution-events.ts";
import type { FoundExecution } from "../../storage/history/execution-reader.ts";
import { Places } from "../limits/concurrency-limit.ts";
import { Loop } from "../process/periodic-task.ts";
import { Feed } from "./watch-feed.ts";

/** How often the journals are read again: the net under the word of who writes them, and all there is elsewhere. */
const rereadMs = 500;

export type WatchersOptions = {
  readonly events: Pick<ExecutionEvents, "read" | "readOne">;
  readonly limits: Pick<Limits, "watchersMax" | "organizationWatchersMax" | "environmentWatchersMax">;
  readonly log: Logger;
};

/** Who watches, from where on, and for how long. */
export type Watch = {
  readonly organizationId: string;
  /** The last thing that the watcher knows; undefined where that is nothing. */
  readonly behind: EventCursor | undefined;
  readonly signal: AbortSignal;
};

/** What a watcher is told, each with its place among the execution's events. */
export type WatchedFact =
  | { readonly kind: "accepted"; readonly cursor: EventCursor }
  | { readonly kind: "run"; readonly cursor: EventCursor; readonly run: JournalFact["run"] }
  | { readonly kind: "end"; readonly cursor: EventCursor; readonly end: EndEvent };

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
  readonly #places: Places<keyof typeof whose>;

  constructor(options: WatchersOptions) {
    this.#options = options;
    const { watchersMax, organizationWatchersMax, environmentWatchersMax } = options.limits;
    this.#places = new Places({
      environment: ["environment_watchers", environmentWatchersMax],
      organization: ["organization_watchers", organizationWatchersMax],
      all: ["watchers", watchersMax],
      refusal: tooManyWatchers,
    });
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
  async *watch(execution: FoundExecution, { organizationId, behind, signal }: Watch): AsyncGenerator<WatchedFact> {
    const leave = this.#places.take({ organizationId, environmentId: execution.environmentId });
    try {
      const from = behind === undefined ? firstPlace : await this.#placeBehind(execution, behind);
      if (behind === undefined) yield { kind: "accepted", cursor: { at: "start" } };
      if (from !== undefined) yield* this.#read({ ...execution, organizationId }, from, signal);
    } finally {
      leave();
    }
  }

  /** Where to read on; undefined behind the end. Refuses a cursor that the execution has never given. */
  async #placeBehind(execution: FoundExecution, cursor: EventCursor): Promise<Place | undefined> {
    if (cursor.at === "start") return firstPlace;
    const nextFlush = cursor.at === "end" ? flushMax : cursor.flush;
    const news = await this.#options.events.readOne({ ...execution, nextFlush });
    if (cursor.at === "end") {
      if (news?.kind !== "end") throw eventIdRefused();
      return undefined;
    }
    const { flush, entry } = cursor;
    const isThere = news?.kind === "flush" && news.index === flush && entry < news.entries;
    if (!isThere) throw eventIdRefused();
    return { flush, entry: entry + 1 };
  }

  async *#read(execution: Watched, from: Place, signal: AbortSignal): AsyncGenerator<WatchedFact> {
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
  ): Promise<JournalEvent | undefined> {
    while (!signal.aborted) {
      if (feed.hasDropped(flush)) return await this.#options.events.readOne({ ...execution, nextFlush: flush });
      const news = feed.find(flush);
      if (news !== undefined) return news;
      await feed.wait(signal);
    }
    return undefined;
  }

  #join({ organizationId, ...execution }: Watched, nextFlush: number): Feed {
    const turn = turnOfTenant({ ...execution, organizationId });
    const feed = this.#feeds.get(execution.id) ?? new Feed({ ...execution, nextFlush }, turn);
    this.#feeds.set(execution.id, feed);
    feed.watchers += 1;
    this.#loop.wake();
    return feed;
  }

  #leave({ id }: FoundExecution, feed: Feed): void {
    feed.watchers -= 1;
    if (feed.watchers === 0) this.#feeds.delete(id);
  }

  /** Reads on for all that are watched, until there is nothing more: of each organisation in turn, some at a time. */
  async #reread(): Promise<void> {
    for (let isMore = true; isMore; ) {
      const feeds = new Map(this.#feeds);
      const waiting = new FairQueue<JournalPlace>();
      for (const { place, turn } of feeds.values()) if (place !== undefined) waiting.push(turn, place);
      const news = await this.#options.events.read(waiting.drain());
      for (const one of news) {
        const feed = feeds.get(one.executionId);
        feed?.add(one);
        // Those that have had news stand behind those of their environment that have not.
        if (feed === undefined || this.#feeds.get(one.executionId) !== feed) continue;
        this.#feeds.delete(one.executionId);
        this.#feeds.set(one.executionId, feed);
      }
      isMore = news.length > 0;
    }
  }
}

type Watched = FoundExecution & Pick<Tenant, "organizationId">;

/** An entry of a journal, which may not be there yet. */
type Place = { readonly flush: number; readonly entry: number };

const firstPlace: Place = { flush: 0, entry: 0 };

/** Behind every flush. */
const flushMax = 2 ** 31 - 1;

const whose = {
  watchers: "",
  organization_watchers: " of this organisation",
  environment_watchers: " in this environment",
} as const;

function tooManyWatchers(limit: keyof typeof whose, max: number): RequestError {
  const message = `${max} watch executions${whose[limit]} on this process already (limit ${limit}). Try again later.`;
  return new RequestError(limit === "watchers" ? "SERVER_BUSY" : "WATCHERS_FULL", message, {
    metadata: { limit, value: String(max) },
    retryAfterSeconds: 1,
  });
}
