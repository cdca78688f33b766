import { type Kysely, sql, type Transaction } from "kysely";
import { idFrom } from "../../domain/id.ts";
import { cautiousNow } from "../postgres/database-clock.ts";
import { hasCode, isLockTimeout } from "../postgres/database-errors.ts";
import type { Tables } from "../postgres/tables.ts";
import { idAt } from "./expire-executions.ts";

/** The ids of a partition: from the first, up to but without the last. */
export type IdRange = { readonly from: string; readonly to: string };

/** A day of ids that has a partition of `execution` and one of `journal`. */
export type HistoryDay = IdRange & { readonly name: string };

/** What ended before so many milliseconds is no longer kept. */
export type DayQuery = HistoryDay & { readonly ms: number };

const daySeconds = 86_400;

/** Partitions are made for today and so many days behind it: a janitor that fails has these days to work again. */
const daysAhead = 3;

/** The first id of all, and one behind the last. */
const firstId = "";
const behindLastId = "g";

/** Rows that one statement looks at, or deletes. */
const pageMax = 10_000;

/** Statements on a table wait as long as one that changes its partitions does, so that it gives up soon and is repeated. */
const lockTimeout = sql`set local lock_timeout = '500ms'`;

type PartitionRow = { readonly name: string; readonly from: string | null; readonly to: string | null };

/**
 * The days of `execution` and `journal`, which are partitioned by the second in which an id was made. A day that is over is
 * dropped whole, which costs the same however many executions it had. What is of no such day is deleted row by row: the
 * rows from before there were days, and those of a day whose partition was made too late, which stay in the default one.
 */
export class HistoryDays {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Makes the partitions of today and of the next days, by the database's clock. Answers the names of those that it made. */
  async make(): Promise<readonly string[]> {
    const made: string[] = [];
    for (const table of ["execution", "journal"] as const) {
      for (const day of await this.#missing(table)) {
        if (await this.#makeOne(table, day)) {
          made.push(`${table}_${day.name}`);
        }
      }
    }
    return made;
  }

  /** The days that ended so long ago, with a day's margin for ids that were made by another clock. */
  async listOld(ms: number): Promise<readonly HistoryDay[]> {
    const { rows } = await sql<{ old: string }>`
      select ${idAt(sql`${cautiousNow()} - make_interval(secs => ${ms / 1000 + daySeconds})`)} as old`.execute(
      this.#db,
    );
    const old = rows[0]?.old ?? firstId;
    const days = new Map<string, HistoryDay>();
    // A journal's day is dropped behind its executions' day, and is left over where a process was killed in between.
    for (const table of ["execution", "journal"] as const) {
      for (const day of daysOf(await this.#list(table), table)) {
        days.set(day.name, day);
      }
    }
    return [...days.values()].filter(({ to }) => to <= old).toSorted((one, other) => (one.from < other.from ? -1 : 1));
  }

  /** The ranges of ids that have no day: what is in them has to be deleted row by row. */
  async listOutside(): Promise<readonly IdRange[]> {
    const ranges: IdRange[] = [];
    let from = firstId;
    for (const day of daysOf(await this.#list("execution"), "execution")) {
      if (from < day.from) {
        ranges.push({ from, to: day.from });
      }
      from = day.to;
    }
    return [...ranges, { from, to: behindLastId }];
  }

  /** Whether a day has an execution that has not ended, or that ended within the last `ms` milliseconds. */
  async isNeeded({ from, to, ms }: DayQuery): Promise<boolean> {
    const claimed = await sql`select from execution_claim
      where execution_id >= ${from} and execution_id < ${to} limit 1`.execute(this.#db);
    if (claimed.rows.length > 0) {
      return true;
    }
    for (let after: string | null = from; after !== null; ) {
      const page: { rows: { next: string | null; is_needed: boolean | null }[] } = await sql<{
        next: string | null;
        is_needed: boolean | null;
      }>`
        select case when count(*) = ${pageMax} then max(id) end as next,
               bool_or(end_time is null or end_time >= ${cautiousNow()} - make_interval(secs => ${ms / 1000})) as is_needed
          from (select id, end_time from execution where id > ${after} and id < ${to} order by id limit ${pageMax})
            as page`.execute(this.#db);
      const [{ next = null, is_needed = false } = {}] = page.rows;
      if (is_needed) {
        return true;
      }
      after = next;
    }
    return false;
  }

  /**
   * Drops a day that is not needed, after its idempotency keys, which are free. False: an execution of it was claimed, or a
   * key bound to one, in this moment.
   */
  async drop(day: HistoryDay): Promise<boolean> {
    while ((await this.#deleteKeys(day)) === pageMax) {}
    const isDropped = await this.#db
      .transaction()
      .execute(async (transaction) => {
        await lockTimeout.execute(transaction);
        // Whoever writes to the day is done then, or waits.
        await dropTable(transaction, `execution_${day.name}`);
        const { rows } = await sql`
        select from execution_claim where execution_id >= ${day.from} and execution_id < ${day.to}
        union all select from idempotency_key where execution_id >= ${day.from} and execution_id < ${day.to}
        limit 1`.execute(transaction);
        if (rows.length > 0) {
          throw new DayIsNeeded();
        }
        return true;
      })
      .catch((error: unknown) => {
        if (error instanceof DayIsNeeded || isLockTimeout(error)) {
          return false;
        }
        throw error;
      });
    if (isDropped) {
      // What was written before the day had a partition.
      while ((await this.#deleteOrphanedJournals(day)) === pageMax) {}
      // By itself: two tables that are locked at a time could deadlock with statements that use both.
      await this.#db.transaction().execute(async (transaction) => {
        await lockTimeout.execute(transaction);
        await dropTable(transaction, `journal_${day.name}`);
      });
    }
    return isDropped;
  }

  async #missing(table: "execution" | "journal"): Promise<readonly HistoryDay[]> {
    const { rows } = await sql<{ now: number }>`select extract(epoch from now())::float8 as now`.execute(this.#db);
    const today = Math.floor((rows[0]?.now ?? 0) / daySeconds);
    const partitions = await this.#list(table);
    const days = Array.from({ length: daysAhead + 1 }, (_, index) => dayOf(today + index));
    return days.filter(({ from }) =>
      partitions.every((one) => from < (one.from ?? firstId) || from >= (one.to ?? firstId)),
    );
  }

  /** False: another process has made it, is using the table for long, or made executions of that day before there was one. */
  async #makeOne(table: "execution" | "journal", { name, from, to }: HistoryDay): Promise<boolean> {
    const options = table === "execution" ? sql`with (fillfactor = 85)` : sql``;
    try {
      await this.#db.transaction().execute(async (transaction) => {
        await lockTimeout.execute(transaction);
        await sql`create table ${sql.table(`${table}_${name}`)} partition of ${sql.table(table)}
          for values from (${sql.lit(from)}) to (${sql.lit(to)}) ${options}`.execute(transaction);
      });
      return true;
    } catch (error) {
      if (isLockTimeout(error) || hasCode(error, takenCodes)) {
        return false;
      }
      throw error;
    }
  }

  /** The partitions but for the default one, in the order of their ids. The one from before there were days has no `from`. */
  async #list(table: "execution" | "journal"): Promise<readonly PartitionRow[]> {
    const { rows } = await sql<PartitionRow>`
      select * from (
        select part.relname as name,
               substring(pg_get_expr(part.relpartbound, part.oid) from $$FROM \\('([0-9a-f]+)'\\)$$) as "from",
               substring(pg_get_expr(part.relpartbound, part.oid) from $$TO \\('([0-9a-f]+)'\\)$$) as "to"
          from pg_inherits join pg_class as part on part.oid = inhrelid
         where inhparent = ${table}::regclass
      ) as partition where "to" is not null order by "from" nulls first`.execute(this.#db);
    return rows;
  }

  async #deleteOrphanedJournals({ from, to }: IdRange): Promise<number> {
    const { rows } = await sql`
      delete from journal_default where (execution_id, flush_index) in (
        select execution_id, flush_index from journal_default where execution_id >= ${from} and execution_id < ${to}
         limit ${pageMax}
      ) returning 1`.execute(this.#db);
    return rows.length;
  }

  async #deleteKeys({ from, to }: IdRange): Promise<number> {
    const { rows } = await sql`
      delete from idempotency_key where execution_id = any(array(
        select execution_id from idempotency_key where execution_id >= ${from} and execution_id < ${to}
         limit ${pageMax}
      )) and execution_id >= ${from} and execution_id < ${to} returning 1`.execute(this.#db);
    return rows.length;
  }
}

/** A row of the default partition is of that day; the name is taken. */
const takenCodes: ReadonlySet<string> = new Set(["23514", "23505", "42P07"]);

class DayIsNeeded extends Error {}

function daysOf(rows: readonly PartitionRow[], table: string): readonly HistoryDay[] {
  return rows.flatMap(({ name, from, to }) =>
    from === null || to === null ? [] : [{ name: name.slice(table.length + 1), from, to }],
  );
}

/** @param day counted from 1970 */
function dayOf(day: number): HistoryDay {
  const dayMs = daySeconds * 1000;
  const name = new Date(day * dayMs).toISOString().slice(0, 10).replaceAll("-", "");
  return { name, from: idFrom(day * dayMs), to: idFrom((day + 1) * dayMs) };
}

async function dropTable(transaction: Transaction<Tables>, name: string): Promise<void> {
  await sql`drop table if exists ${sql.table(name)}`.execute(transaction);
}
