import type { Logger } from "pino";
import { type Tenant, turnOfTenant } from "../../domain/account.ts";
import type { Clock } from "../../domain/clock.ts";
import { FairQueue } from "../../domain/collections/fair-queue.ts";
import { type EventCursor, eventIdRefused } from "../../domain/http/event-cursor.ts";
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
import { ConcurrencyLimit } from "../limits/concurrency-limit.ts";
import { PeriodicTask } from "../process/periodic-task.ts";
import type { SchedulerEvents } from "../run/scheduler-events.ts";
import { WatchFeed } from "./watch-feed.ts";

/** How often journals are read again. Only commits of this process are announced, and that is only a hint. */
const rereadMs = 500;

export type WatchersOptions = {
  readonly journals: Pick<ExecutionEvents, "read" | "readOne">;
  readonly events: Pick<SchedulerEvents, "on">;
  readonly limits: Pick<Limits, "watchersMax" | "organizationWatchersMax" | "environmentWatchersMax">;
  readonly clock: Clock;
  readonly log: Logger;
};

export type Watch = {
  readonly organizationId: string;
  /** The last event that the watcher has seen; undefined where it has seen none. */
  readonly behind: EventCursor | undefined;
  readonly signal: AbortSignal;
};

/** An event for watchers, with its position among the events of the execution. */
export type WatchedFact =
  | { readonly kind: "accepted"; readonly cursor: EventCursor }
  | { readonly kind: "run"; readonly cursor: EventCursor; readonly run: JournalFact["run"] }
  | { readonly kind: "end"; readonly cursor: EventCursor; readonly end: EndEvent };

/**
 * Streams the events of executions, in whichever process these run, to watchers. Events are read from the journal behind
 * each watcher's cursor, so that only what is committed is sent.
 *
 * The journals of all watched executions are read in one statement, however many watchers there are. A watcher that is
 * further behind than what is kept here reads for itself, at its own pace.
 */
export class Watchers implements Service {
  readonly #options: WatchersOptions;
  readonly #feeds = new Map<string, WatchFeed>();
  readonly #task: PeriodicTask;
  readonly #limit: ConcurrencyLimit<keyof typeof whose>;

  constructor(options: WatchersOptions) {
    this.#options = options;
    const { watchersMax, organizationWatchersMax, environmentWatchersMax } = options.limits;
    this.#limit = new ConcurrencyLimit({
      environment: ["environment_watchers", environmentWatchersMax],
      organization: ["organization_watchers", organizationWatchersMax],
      all: ["watchers", watchersMax],
      errorOf: tooManyWatchers,
    });
    this.#task = new PeriodicTask({
      name: "watchers",
      everyMs: rereadMs,
      runOnce: () => this.#reread(),
      clock: options.clock,
      log: options.log,
    });
  }

  async start(): Promise<void> {
    const { events } = this.#options;
    events.on("recorded", (executionId) => this.#wake([executionId]));
    events.on("ended", ({ executionId }) => this.#wake([executionId]));
    events.on("endedElsewhere", (ids) => this.#wake(ids));
    await this.#task.start();
  }

  async stop(): Promise<void> {
    await this.#task.stop();
  }

  /** Yields all events, or those behind a cursor, until the execution ends or the signal aborts. Throws RequestError. */
  async *watch(execution: FoundExecution, { organizationId, behind, signal }: Watch): AsyncGenerator<WatchedFact> {
    const leave = this.#limit.acquire({ organizationId, environmentId: execution.environmentId });
    try {
      const from = behind === undefined ? firstPosition : await this.#positionBehind(execution, behind);
      if (behind === undefined) {
        yield { kind: "accepted", cursor: { at: "start" } };
      }
      if (from !== undefined) {
        yield* this.#read({ ...execution, organizationId }, from, signal);
      }
    } finally {
      leave();
    }
  }

  /** Reads on at once where somebody watches one of these executions, or any execution where it is not said which. */
  #wake(ids: readonly string[] | undefined): void {
    if (ids?.some((id) => this.#feeds.has(id)) ?? this.#feeds.size > 0) {
      this.#task.wake();
    }
  }

  /** Where to read on; undefined behind the end. Throws RequestError for a cursor that this execution never gave. */
  async #positionBehind(execution: FoundExecution, cursor: EventCursor): Promise<Position | undefined> {
    if (cursor.at === "start") {
      return firstPosition;
    }
    const nextFlush = cursor.at === "end" ? flushMax : cursor.flush;
    const update = await this.#options.journals.readOne({ ...execution, nextFlush });
    if (cursor.at === "end") {
      if (update?.kind !== "end") {
        throw eventIdRefused();
      }
      return undefined;
    }
    const { flush, entry } = cursor;
    const isThere = update?.kind === "flush" && update.index === flush && entry < update.entries;
    if (!isThere) {
      throw eventIdRefused();
    }
    return { flush, entry: entry + 1 };
  }

  async *#read(execution: Watched, from: Position, signal: AbortSignal): AsyncGenerator<WatchedFact> {
    const feed = this.#join(execution, from.flush);
    try {
      for (let flush = from.flush; ; ) {
        const update = await this.#next(feed, { ...execution, flush }, signal);
        if (update === undefined) {
          return;
        }
        if (update.kind === "end") {
          yield { kind: "end", cursor: { at: "end" }, end: update };
          return;
        }
        for (const { entry, run } of update.facts) {
          if (update.index > from.flush || entry >= from.entry) {
            yield { kind: "run", cursor: { at: "entry", flush: update.index, entry }, run };
          }
        }
        flush = update.index + 1;
      }
    } finally {
      this.#leave(execution, feed);
    }
  }

  /** The next events after a flush; undefined where the signal aborts first. */
  async #next(
    feed: WatchFeed,
    { flush, ...execution }: FoundExecution & { readonly flush: number },
    signal: AbortSignal,
  ): Promise<JournalEvent | undefined> {
    while (!signal.aborted) {
      if (feed.hasDropped(flush)) {
        return await this.#options.journals.readOne({ ...execution, nextFlush: flush });
      }
      const update = feed.find(flush);
      if (update !== undefined) {
        return update;
      }
      await feed.wait(signal);
    }
    return undefined;
  }

  #join({ organizationId, ...execution }: Watched, nextFlush: number): WatchFeed {
    const turn = turnOfTenant({ ...execution, organizationId });
    const feed = this.#feeds.get(execution.id) ?? new WatchFeed({ ...execution, nextFlush }, turn);
    this.#feeds.set(execution.id, feed);
    feed.watchers += 1;
    this.#task.wake();
    return feed;
  }

  #leave({ id }: FoundExecution, feed: WatchFeed): void {
    feed.watchers -= 1;
    if (feed.watchers === 0) {
      this.#feeds.delete(id);
    }
  }

  /** Reads on for all watched executions, round-robin and in bounded parts, until there is nothing more. */
  async #reread(): Promise<void> {
    for (let isMore = true; isMore; ) {
      const feeds = new Map(this.#feeds);
      const waiting = new FairQueue<JournalPlace>();
      for (const { place, turn } of feeds.values()) {
        if (place !== undefined) {
          waiting.push(turn, place);
        }
      }
      const updates = await this.#options.journals.read(waiting.drain());
      for (const one of updates) {
        const feed = feeds.get(one.executionId);
        feed?.add(one);
        // Round-robin: a feed with an update moves behind the others.
        if (feed === undefined || this.#feeds.get(one.executionId) !== feed) {
          continue;
        }
        this.#feeds.delete(one.executionId);
        this.#feeds.set(one.executionId, feed);
      }
      isMore = updates.length > 0;
    }
  }
}

type Watched = FoundExecution & Pick<Tenant, "organizationId">;

/** The position of an entry in a journal; the entry may not be there yet. */
type Position = { readonly flush: number; readonly entry: number };

const firstPosition: Position = { flush: 0, entry: 0 };

/** No flush has a higher index. */
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
