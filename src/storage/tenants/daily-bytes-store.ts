import { type Kysely, sql } from "kysely";
import { cautiousNow } from "../postgres/database-clock.ts";
import type { Tables } from "../postgres/tables.ts";

/** The totals of one counter on a day, by environment. They are absolute, so that sending them again is idempotent. */
export type DayCounts = {
  readonly owner: string;
  /** In UTC, such as 2026-01-31. */
  readonly day: string;
  readonly bytes: ReadonlyMap<string, number>;
};

/** The daily quota: the bytes of payloads that each environment has used in a day, over all processes. */
export class DayBytesStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Writes this process's totals; answers the sum of the other processes' totals in the same environments. */
  async exchange({ owner, day, bytes }: DayCounts): Promise<ReadonlyMap<string, number>> {
    const { rows } = await sql<{ environment_id: string; bytes: number }>`
      with input as materialized (
        select * from unnest(${[...bytes.keys()]}::text[], ${[...bytes.values()]}::bigint[]) as given(environment_id, bytes)
      ), written as (
        insert into environment_day (day, environment_id, owner, bytes)
        select ${day}::date, environment_id, ${owner}, bytes from input
        on conflict (day, environment_id, owner) do update set bytes = excluded.bytes
          where environment_day.bytes <> excluded.bytes
      )
      select input.environment_id, sum(others.bytes)::float8 as bytes
        from input join environment_day as others on others.day = ${day}::date
         and others.environment_id = input.environment_id and others.owner <> ${owner}
       group by input.environment_id`.execute(this.#db);
    return new Map(rows.map((row) => [row.environment_id, row.bytes]));
  }

  /** Deletes the totals of days that are over for every process, whatever its clock says. */
  async deletePast(): Promise<void> {
    await sql`delete from environment_day
      where day < (${cautiousNow()} at time zone 'UTC')::date - 1`.execute(this.#db);
  }
}
