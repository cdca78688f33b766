import { type Kysely, sql } from "kysely";
import type { NodeRun } from "../../domain/execution.ts";
import type { Tables } from "../postgres/tables.ts";
import { parseEntries } from "./execution-rows.ts";

/** A journal that is read from its beginning. */
export type OpenedJournal = {
  /** The bytes of its JSON, known before anything large is read. */
  readonly bytes: number;
  readonly nextFlushIndex: number;
  /** All records in the order in which they were written, a bounded part at a time. */
  read(): AsyncGenerator<readonly NodeRun[]>;
};

/** One statement reads this much of a journal, and at most one flush more. */
const bytesPerRead = 2 * 1024 * 1024;

/**
 * Opens the journal of an execution. To go on with the execution, claim it first: only then do earlier owners write no
 * more. Postgres keeps the size of a text beside it, so that one cheap statement knows all sizes; it reads small journals
 * on the way.
 */
export async function openJournal(
  db: Kysely<Tables>,
  execution: { readonly id: string; readonly environmentId: string },
): Promise<OpenedJournal> {
  const { rows } = await sql<{ flush_index: number; bytes: number; entries: string | null }>`
    select flush_index, bytes, case when total <= ${bytesPerRead} then entries end as entries from (
      select flush_index, entries, octet_length(entries) as bytes,
             sum(octet_length(entries)) over (order by flush_index) as total
        from journal where execution_id = ${execution.id} and environment_id = ${execution.environmentId}
    ) as flush order by flush_index`.execute(db);
  return {
    bytes: rows.reduce((sum, { bytes }) => sum + bytes, 0),
    nextFlushIndex: (rows.at(-1)?.flush_index ?? -1) + 1,
    read: async function* () {
      const isSmall = ({ entries }: (typeof rows)[number]) => entries !== null;
      for (const { entries } of rows.filter(isSmall)) {
        if (entries !== null) {
          yield parseEntries(entries);
        }
      }
      for (const [from, to] of rangesOf(rows.filter((row) => !isSmall(row)))) {
        const read = await db
          .selectFrom("journal")
          .select("entries")
          .where("execution_id", "=", execution.id)
          .where("environment_id", "=", execution.environmentId)
          .where("flush_index", ">=", from)
          .where("flush_index", "<=", to)
          .orderBy("flush_index")
          .execute();
        for (const { entries } of read) {
          yield parseEntries(entries);
        }
      }
    },
  };
}

/** The ranges of flushes that one statement each reads. */
function rangesOf(rows: readonly { readonly flush_index: number; readonly bytes: number }[]) {
  const ranges: [from: number, to: number][] = [];
  let left = 0;
  for (const { flush_index, bytes } of rows) {
    const last = ranges.at(-1);
    if (last === undefined || left <= 0) {
      ranges.push([flush_index, flush_index]);
      left = bytesPerRead;
    } else {
      last[1] = flush_index;
    }
    left -= bytes;
  }
  return ranges;
}
