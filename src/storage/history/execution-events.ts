import { type Kysely, sql } from "kysely";
import type { ExecutionError, NodeRun, TerminalState } from "../../domain/execution.ts";
import { underWayOf } from "../../domain/under-way.ts";
import { parseEntries, toAnswer } from "../executions/execution-rows.ts";
import { headOf, type RecordHead } from "../executions/flush.ts";
import type { Tables } from "../postgres/tables.ts";
import type { FoundExecution } from "./execution-reader.ts";

/** Where to go on in the journal of an execution. */
export type JournalPlace = FoundExecution & { readonly nextFlush: number };

/**
 * A recorded fact: one node run or one iteration of a Group, without input and output. It is under way where its state is
 * RUNNING or WAITING.
 */
export type JournalFact = { readonly entry: number; readonly run: RecordHead };

/** The next event of an execution: its next flush or, behind the last flush, its end. */
export type JournalEvent = { readonly executionId: string } & (FlushEvent | EndEvent);

export type FlushEvent = {
  readonly kind: "flush";
  readonly index: number;
  /** The number of records in the flush, those included that are no facts. */
  readonly entries: number;
  readonly facts: readonly JournalFact[];
};

export type EndEvent = {
  readonly kind: "end";
  readonly state: TerminalState;
  readonly statusCode?: number;
  readonly error?: ExecutionError;
  readonly endTime: Date;
};

/** One statement answers for this many executions: each row may hold a flush of a mebibyte or two. */
const eventsMax = 16;

/** Reads the events of executions for those who watch them. */
export class ExecutionEvents {
  readonly #db: Kysely<Tables>;
  readonly #callsDb: Kysely<Tables>;

  /** `callsDb` runs what one caller reads alone. */
  constructor(db: Kysely<Tables>, { callsDb = db }: { readonly callsDb?: Kysely<Tables> } = {}) {
    this.#db = db;
    this.#callsDb = callsDb;
  }

  /**
   * Reads the next event of each of these executions, of some of them only: ask again until nothing comes. One snapshot
   * holds journal and state, so that no flush follows an end.
   */
  async read(places: readonly JournalPlace[]): Promise<readonly JournalEvent[]> {
    return await readEvents(this.#db, places);
  }

  /** The same for one execution. */
  async readOne(place: JournalPlace): Promise<JournalEvent | undefined> {
    const [event] = await readEvents(this.#callsDb, [place]);
    return event;
  }
}

async function readEvents(db: Kysely<Tables>, places: readonly JournalPlace[]): Promise<readonly JournalEvent[]> {
  if (places.length === 0) {
    return [];
  }
  const { rows } =
    await sql<EventRow>`select execution.id, execution.state, execution.status_code, execution.error, execution.end_time,
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
      limit ${eventsMax}`.execute(db);
  return rows.map(toEvent);
}

type EventRow = {
  readonly id: string;
  readonly state: TerminalState | null;
  readonly status_code: number | null;
  readonly error: string | null;
  readonly end_time: Date | null;
  readonly flush_index: number | null;
  readonly entries: string | null;
};

function toEvent({ id: executionId, flush_index: index, entries, state, end_time, ...row }: EventRow): JournalEvent {
  if (index !== null && entries !== null) {
    const runs = parseEntries(entries);
    return { executionId, kind: "flush", index, entries: runs.length, facts: runs.flatMap(toFacts) };
  }
  if (state === null || end_time === null) {
    throw new Error("an execution without an event was read");
  }
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

/** An attempt, whose path has a `#`, is part of a node run and not a fact of its own. */
function toFacts(record: NodeRun, entry: number): readonly JournalFact[] {
  const run = headOf(record);
  if (!run.path.includes("#")) {
    return [{ entry, run }];
  }
  const underWay = underWayOf(run);
  return underWay === undefined ? [] : [{ entry, run: underWay }];
}
