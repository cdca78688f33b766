import { type Kysely, sql } from "kysely";
import { cautiousNow } from "../postgres/database-clock.ts";
import type { Tables } from "../postgres/tables.ts";
import { idOfAge } from "./expire-executions.ts";
import type { IdRange } from "./history-days.ts";

/** `range`: the executions with these ids alone. */
export type Retention = { readonly ms: number; readonly limit: number; readonly range?: IdRange };

/**
 * Deletes executions that ended longer ago than `ms` with their journals and idempotency keys, which are free by then, at
 * most `limit`; answers how many.
 */
export async function deleteEnded(
  db: Kysely<Tables>,
  { ms, limit, range = { from: "", to: "g" } }: Retention,
): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    with chosen as materialized (
      select id from execution
       where id >= ${range.from} and id < ${range.to} and id < ${idOfAge(ms)} and end_time < ${cautiousNow()} - make_interval(secs => ${ms / 1000})
       order by id limit ${limit} for update skip locked
    ), unbound as (
      delete from idempotency_key using chosen where idempotency_key.execution_id = chosen.id
    ), emptied as (
      delete from journal using chosen where journal.execution_id = chosen.id
    ), gone as (
      delete from execution using chosen where execution.id = chosen.id returning 1
    )
    select count(*)::int as count from gone`.execute(db);
  return rows[0]?.count ?? 0;
}

/** A kept draft, by the key that orders them all. */
export type DraftPlace = { readonly version: number; readonly environmentId: string; readonly workflowId: string };

/** `limit` kept drafts behind one of them, or from the first on. */
export type DraftPage = { readonly after?: DraftPlace | undefined; readonly limit: number };

export type DeletedDrafts = {
  readonly count: number;
  /** Go on behind this one; undefined behind the last kept draft. */
  readonly next: DraftPlace | undefined;
};

/**
 * A kept draft may go once the workflow's draft has been another one for this long: a test that found the earlier draft
 * has been committed by then.
 */
const settledMs = 3_600_000;

type DraftRow = { count: number; version: number | null; environment_id: string | null; workflow_id: string | null };

/**
 * Deletes of a page of kept drafts those that no execution ran and that belong to deleted workflows or to drafts that were
 * saved anew since.
 */
export async function deleteKeptDrafts(db: Kysely<Tables>, { after, limit }: DraftPage): Promise<DeletedDrafts> {
  const place =
    after &&
    sql`and (version, environment_id, workflow_id)
    > (${after.version}::int, ${after.environmentId}::text, ${after.workflowId}::text)`;
  const isSettled = (time: string) =>
    sql`${sql.ref(time)} < ${cautiousNow()} - make_interval(secs => ${settledMs / 1000})`;
  const { rows } = await sql<DraftRow>`
    with page as materialized (
      select version, environment_id, workflow_id from workflow_version where version < 0 ${place ?? sql``}
       order by version, environment_id, workflow_id limit ${limit}
    ), unneeded as materialized (
      select page.version, page.environment_id, page.workflow_id from page
       where not exists (
           select from execution where execution.version < 0 and execution.environment_id = page.environment_id
             and execution.workflow_id = page.workflow_id and execution.version = page.version)
         and exists (
           select from workflow where workflow.environment_id = page.environment_id and workflow.id = page.workflow_id
             and (${isSettled("workflow.delete_time")}
               or workflow.draft_revision <> - page.version and ${isSettled("workflow.draft_update_time")}))
    ), gone as (
      delete from workflow_version using unneeded
       where workflow_version.environment_id = unneeded.environment_id
         and workflow_version.workflow_id = unneeded.workflow_id and workflow_version.version = unneeded.version
      returning 1
    )
    select (select count(*)::int from gone) as count, last.version, last.environment_id, last.workflow_id
      from (select) as one left join lateral (
        select * from page order by version, environment_id, workflow_id offset ${limit - 1} limit 1
      ) as last on true`.execute(db);
  const [{ count = 0, version = null, environment_id = null, workflow_id = null } = {}] = rows;
  const isLast = version === null || environment_id === null || workflow_id === null;
  return { count, next: isLast ? undefined : { version, environmentId: environment_id, workflowId: workflow_id } };
}
