import { type Kysely, type RawBuilder, sql } from "kysely";
import type { NodeRun } from "../../domain/execution.ts";
import { parseEntries } from "../executions/execution-rows.ts";
import type { Tables } from "../postgres/tables.ts";

/** One flush; a large one comes without inputs and outputs. */
export type Heads = {
  readonly index: number;
  readonly runs: readonly NodeRun[];
  readonly isWhole: boolean;
  /** The epoch of the owner that wrote it. */
  readonly epoch: number;
  /** The number of all its records that have notes, whether they match the query or not. */
  readonly noted: number;
  /** The bytes that are read of the whole journal; known with the first flush, where they are asked for. */
  readonly total?: number;
};

/** One statement reads this many flushes and bytes, and at most one flush more. */
const flushesMax = 64;
const bytesMax = 2 * 1024 * 1024;

type HeadsRow = {
  readonly flush_index: number;
  readonly heads: string | null;
  readonly is_whole: boolean;
  readonly is_last: boolean;
  readonly epoch: number;
  readonly noted: number;
  readonly total: number | null;
};

export type HeadsQuery = {
  readonly environmentId: string;
  readonly id: string;
  readonly from?: number;
  /** Whether the size of the whole journal is asked for, in the first statement. */
  readonly isSized?: boolean;
  /**
   * Restricts the query to node runs outside Groups, or to records whose path begins so. A flush without such records comes
   * empty.
   */
  readonly only?: "outside" | { readonly path: string };
};

/**
 * Reads a journal in the order in which it was written, without large outputs, a bounded part at a time. The database
 * searches for the paths and sends only the flushes that contain them.
 */
export async function* readHeads(db: Kysely<Tables>, query: HeadsQuery): AsyncGenerator<Heads> {
  const { environmentId, id } = query;
  const isMeant = conditionOf(query);
  const first = query.from ?? 0;
  for (let next: number | undefined = first; next !== undefined; ) {
    const total: RawBuilder<unknown> = query.isSized && next === first ? sizeOf(query) : sql`null::int8`;
    const { rows }: { readonly rows: readonly HeadsRow[] } = await sql<HeadsRow>`
      select flush_index, case when ${isMeant} then part end as heads, is_whole, place = count as is_last, epoch,
             (length(part) - length(replace(part, ${notesMark}, ''))) / ${notesMark.length}::int as noted, ${total} as total
        from (
        select *, row_number() over flushes as place, count(*) over () as count,
               sum(octet_length(part)) over flushes - octet_length(part) as before
          from (
            select flush_index, coalesce(heads, entries) as part, heads is null as is_whole, epoch from journal
             where execution_id = ${id} and environment_id = ${environmentId} and flush_index >= ${next}
             order by flush_index limit ${flushesMax + 1}
          ) as flush
        window flushes as (order by flush_index)
      ) as sized
      where place <= ${flushesMax} and before < ${bytesMax} order by flush_index`.execute(db);
    for (const { flush_index: index, heads, is_whole: isWhole, epoch, noted, total: bytes } of rows) {
      const runs = heads === null ? [] : parseEntries(heads);
      yield { index, runs, isWhole, epoch, noted, ...(bytes !== null && { total: bytes }) };
    }
    const last = rows.at(-1);
    next = last === undefined || last.is_last ? undefined : last.flush_index + 1;
  }
}

/** JSON.stringify writes the notes of a record like this. Inside an output each quote has a backslash, so that it cannot match. */
const notesMark = ',"notes":[';

/** Searches the text that JSON.stringify writes. Inside an output each quote has a backslash, so that it cannot match. */
function conditionOf({ only }: HeadsQuery): RawBuilder<unknown> {
  if (only === undefined) {
    return sql`true`;
  }
  if (only === "outside") {
    return sql`part ~ '"path":"[^"/[]*"'`;
  }
  return sql`strpos(part, ${`"path":${JSON.stringify(only.path).slice(0, -1)}`}) > 0`;
}

/** A subquery of the bytes that `readHeads` reads of a journal. The size of a text is known without its being read. */
function sizeOf({ environmentId, id }: HeadsQuery): RawBuilder<unknown> {
  return sql`(
    select coalesce(sum(octet_length(coalesce(heads, entries))), 0)::int8
      from journal where execution_id = ${id} and environment_id = ${environmentId})`;
}

/** The bytes that `readHeads` reads of a journal, and the bytes of the whole journal. */
export async function sizeJournal(db: Kysely<Tables>, { environmentId, id }: Pick<HeadsQuery, "environmentId" | "id">) {
  const { rows } = await sql<{ heads: number; bytes: number }>`
    select coalesce(sum(octet_length(coalesce(heads, entries))), 0)::int8 as heads,
           coalesce(sum(octet_length(entries)), 0)::int8 as bytes
      from journal where execution_id = ${id} and environment_id = ${environmentId}`.execute(db);
  return rows[0] ?? { heads: 0, bytes: 0 };
}
