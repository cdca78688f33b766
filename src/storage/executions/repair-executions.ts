import { type Kysely, sql } from "kysely";
import type { Tables } from "../postgres/tables.ts";

/** `limit` executions behind an id. */
export type RepairPage = { readonly after: string; readonly limit: number };

export type Repaired = {
  /** Go on behind this id; undefined behind the last execution. */
  readonly next: string | undefined;
  /** Unfinished executions that had no claim, so that nobody could claim them. */
  readonly queued: readonly string[];
  /** Claims of executions that have ended or do not exist. */
  readonly removed: readonly string[];
};

/**
 * Gives each unfinished execution of a page a claim, and deletes claims without an unfinished execution. It is one
 * statement, since one snapshot holds an execution together with its claim.
 */
export async function repairPage(db: Kysely<Tables>, { after, limit }: RepairPage): Promise<Repaired> {
  const { rows } = await sql<{ next: string | null; queued: string[]; removed: string[] }>`
    with page as materialized (
      select id, environment_id, linked_account_id, state from execution where id > ${after} order by id limit ${limit}
    ), place as materialized (
      select case when count(*) = ${limit} then max(id) end as next from page
    ), queued as (
      insert into execution_claim (execution_id, environment_id, linked_account_id, epoch)
      select id, environment_id, linked_account_id,
             -- Never 0: an execution in epoch 0 has no journal to read.
             greatest(1, (select max(epoch) from journal where journal.execution_id = page.id))
        from page
       where state is null
         and not exists (select from execution_claim as claim where claim.execution_id = page.id)
      on conflict do nothing returning execution_id
    ), removed as (
      delete from execution_claim as claim
       where claim.execution_id > ${after}
         and claim.execution_id <= (select coalesce(next, 'g') from place)
         and not exists (select from execution where execution.id = claim.execution_id and execution.state is null)
      returning execution_id
    )
    select next, array(select execution_id from queued) as queued, array(select execution_id from removed) as removed
      from place`.execute(db);
  const [{ next = null, queued = [], removed = [] } = {}] = rows;
  return { next: next ?? undefined, queued, removed };
}
