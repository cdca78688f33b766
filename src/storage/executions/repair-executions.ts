import { type Kysely, sql } from "kysely";
import type { Tables } from "../postgres/tables.ts";

/** The executions behind an id, so many of them. */
export type RepairPage = { readonly after: string; readonly limit: number };

export type Repaired = {
  /** Where to go on; undefined behind the last execution. */
  readonly next: string | undefined;
  /** Unfinished ones that had no claim, so that nobody could take them up. */
  readonly queued: readonly string[];
  /** Claims of what has ended, or is not there. */
  readonly removed: readonly string[];
};

/** See ExecutionStore.repair. In one statement: one snapshot has an execution and its claim, or neither. */
export async function repairPage(db: Kysely<Tables>, { after, limit }: RepairPage): Promise<Repaired> {
  const { rows } = await sql<{ next: string | null; queued: string[]; removed: string[] }>`
    with page as materialized (
      select id, environment_id, linked_account_id, state from execution where id > ${after} order by id limit ${limit}
    ), place as materialized (
      select case when count(*) = ${limit} then max(id) end as next from page
    ), queued as (
      insert into execution_claim (execution_id, environment_id, linked_account_id, epoch)
      select id, environment_id, linked_account_id,
             -- Never 0: a journal is read for executions that have had an epoch.
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
