import { type Kysely, sql } from "kysely";
import type { ExecutionError, NodeRun, TerminalState } from "../../domain/execution.ts";
import { underWayOf } from "../../domain/under-way.ts";
import { parseEntries, toAnswer } from "../executions/execution-rows.ts";
import type { Tables } from "../postgres/tables.ts";
import type { FoundExecution } from "./execution-reader.ts";

/** An execution whose journal is read from a flush on. */
export type JournalPlace = FoundExecution & { readonly nextFlush: number };

/**
 * A fact that is recorded for good: one visit of a node, or one iteration of a Group, without its input and output. Where
 * its state is RUNNING or WAITING, that a visit is under way.
 */
export type JournalFact = { readonly entry: number; readonly run: Omit<NodeRun, "input" | "output"> };

/** What follows in an execution: its next flush, or, where it has none and never will have, its end. */
export type ExecutionNews = { readonly executionId: string } & (FlushNews | EndNews);

export type FlushNews = {
  readonly kind: "flush";
  readonly index: number;
  /** How many entries the flush has, those that are no facts to show among them. */
  readonly entries: number;
  readonly facts: readonly JournalFact[];
};

export type EndNews = {
  readonly kind: "end";
  readonly state: TerminalState;
  readonly statusCode?: number;
  readonly error?: ExecutionError;
  readonly endTime: Date;
};

/** How many executions one statement answers about: each row may hold a flush, of a mebibyte or two. */
const newsMax = 16;

/** Reads what executions record while others watch. */
export class ExecutionEvents {
  readonly #db: Kysely<Tables>;
  readonly #callsDb: Kysely<Tables>;

  /** What is read for one caller alone takes a connection of `callsDb`, where there is one. */
  constructor(db: Kysely<Tables>, { callsDb = db }: { readonly callsDb?: Kysely<Tables> } = {}) {
    this.#db = db;
    this.#callsDb = callsDb;
  }

  /**
   * What each of these executions has from the given flush on, if anything, one flush at a time, and for some of them
   * only: it is asked again until there is nothing. Journal and state are of one moment, so an end has all before it.
   */
  async read(places: readonly JournalPlace[]): Promise<readonly ExecutionNews[]> {
    return await readNews(this.#db, places);
  }

  /** The same of one execution, for the caller that asks. */
  async readOne(place: JournalPlace): Promise<ExecutionNews | undefined> {
    const [news] = await readNews(this.#callsDb, [place]);
    return news;
  }
}

async function readNews(db: Kysely<Tables>, places: readonly JournalPlace[]): Promise<readonly ExecutionNews[]> {
  if (places.length === 0) return [];
  const { rows } =
    await sql<NewsRow>`select execution.id, execution.state, execution.status_code, execution.error, execution.end_time,
        flush.flush_index, flush.entries
      from unnest(
        ${places.map(({ environmentId }) => environmentId)}::text[],
        ${places.map(({ id }) => id)}::text[],
        ${places.map(({ nextFlush }) => nextFlush)}::int[]
      ) as place (environment_id, id, next_flush)
      cross join lateral (
        select id, state, status_code, error, end_time from execution
        where execution.id = place.id and execution.environment_id = place.environment_id
        limit 1
      ) as execution
      left join lateral (
        select flush_index, coalesce(heads, entries) as entries from journal
        where execution_id = place.id and environment_id = place.environment_id and flush_index >= place.next_flush
        order by flush_index
        limit 1
      ) as flush on true
      where flush.flush_index is not null or execution.state is not null
      limit ${newsMax}`.execute(db);
  return rows.map(toNews);
}

type NewsRow = {
  readonly id: string;
  readonly state: TerminalState | null;
  readonly status_code: number | null;
  readonly error: string | null;
  readonly end_time: Date | null;
  readonly flush_index: number | null;
  readonly entries: string | null;
};

function toNews({ id: executionId, flush_index: index, entries, state, end_time, ...row }: NewsRow): ExecutionNews {
  if (index !== null && entries !== null) {
    const runs = parseEntries(entries);
    return { executionId, kind: "flush", index, entries: runs.length, facts: runs.flatMap(toFacts) };
  }
  if (state === null || end_time === null) throw new Error("an execution without news was read");
  const { statusCode, error } = toAnswer({ ...row, response: null });
  return {
    executionId,
    kind: "end",
    state,
    endTime: end_time,
    ...(statusCode !== undefined && { statusCode }),
    ...(error !== undefined && { error }),
  };
}

/** Attempts, whose paths have a `#`, are how a node comes to its end and not facts of their own. */
function toFacts({ input, output, ...run }: NodeRun, entry: number): readonly JournalFact[] {
  if (!run.path.includes("#")) return [{ entry, run }];
  const underWay = underWayOf(run);
  return underWay === undefined ? [] : [{ entry, run: underWay }];
}
