import { type Kysely, sql } from "kysely";
import { idOfAge } from "./expire.ts";
import type { Tables } from "./tables.ts";

export type Retention = { readonly ms: number; readonly limit: number };

/** Deletes what ended long ago: see ExecutionStore.deleteEnded. */
export async function deleteEnded(db: Kysely<Tables>, { ms, limit }: Retention): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    with chosen as materialized (
      select id from execution
       where id < ${idOfAge(ms)} and end_time < now() - make_interval(secs => ${ms / 1000})
       order by id limit ${limit} for update skip locked
    ), emptied as (
      delete from journal using chosen where journal.execution_id = chosen.id
    ), gone as (
      delete from execution using chosen where execution.id = chosen.id returning 1
    )
    select count(*)::int as count from gone`.execute(db);
  return rows[0]?.count ?? 0;
}
