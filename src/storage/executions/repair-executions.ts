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
  /** Executions without the version or the account that they name. */
  readonly dangling: readonly string[];
  /** How many idempotency keys stood for executions that do not exist, and were deleted. */
  readonly unboundKeys: number;
};

/**
 * Gives each unfinished execution of a page a claim, and deletes claims without an unfinished execution and keys without
 * an execution; counts what no foreign key guards. It is one statement, since one snapshot holds an execution together with
 * its claim and its key.
 */
export async function repairPage(db: Kysely<Tables>, { after, limit }: RepairPage): Promise<Repaired> {
  const { rows } = await sql<RepairedRow>`
    with page as materialized (
      select id, environment_id, workflow_id, version, linked_account_id, state from execution where id > ${after} order by id limit ${limit}
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
    ), unbound as (
      delete from idempotency_key as bound
       where bound.execution_id > ${after}
         and bound.execution_id <= (select coalesce(next, 'g') from place)
         and not exists (select from execution where execution.id = bound.execution_id)
      returning 1
    )
    select next, array(select execution_id from queued) as queued, array(select execution_id from removed) as removed,
           array(
             select id from page
              where (select true from workflow_version as version where version.environment_id = page.environment_id
                       and version.workflow_id = page.workflow_id and version.version = page.version) is null
                 or (select true from linked_account as account where account.environment_id = page.environment_id
                       and account.account_id = page.linked_account_id) is null
           ) as dangling,
           (select count(*)::int from unbound) as unbound_keys
      from place`.execute(db);
  const [{ next = null, queued = [], removed = [], dangling = [], unbound_keys = 0 } = {}] = rows;
  return { next: next ?? undefined, queued, removed, dangling, unboundKeys: unbound_keys };
}

type RepairedRow = {
  readonly next: string | null;
  readonly queued: readonly string[];
  readonly removed: readonly string[];
  readonly dangling: readonly string[];
  readonly unbound_keys: number;
};
