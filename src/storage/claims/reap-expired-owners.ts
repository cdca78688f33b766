import { type Kysely, type RawBuilder, sql } from "kysely";
import { ranMs } from "../executions/execution-rows.ts";
import { isClockAsExpected } from "../postgres/database-clock.ts";
import type { Tables } from "../postgres/tables.ts";
import { dueFirst, lossLife } from "./release-claim.ts";

/**
 * How old the last renewal of an owner is, whose session of the database is gone, when it counts as dead: longer than an
 * owner that lives takes to give up a session which is silent for a second, and to renew on a new one.
 */
const goneMs = 2_000;

/** Who judges which owners live, and what the database's clock should say: where it says something else, nobody is. */
export type Judge = { readonly owner: string; readonly now: number };

/**
 * Frees what dead owners held, in the caller's transaction; answers the owners. An owner is dead whose lease has run
 * out or is dropped, or whose session is gone.
 *
 * A suspect takes the blame for its owner's death alone. Where the owner held none, all that it held may be the cause.
 */
export async function buryDead(db: Kysely<Tables>, judge: Judge): Promise<readonly string[]> {
  const { rows } = await findDead(judge).execute(db);
  for (const { owner } of rows) {
    await bury(owner).execute(db);
  }
  return rows.map(({ owner }) => owner);
}

/** The owners are few, and each is found by one step in their index, however much they hold. */
function findDead({ owner: claimer, now }: Judge): RawBuilder<{ owner: string }> {
  const isDead = sql`lease.expire_time <= now()
    -- Renewed in what is the future since the clock was set back, and not again.
    or lease.renew_time > now() + interval '1 second' or (
    -- A process of an earlier version names no session.
    lease.session_pid is not null and lease.renew_time < now() - ${goneMs} * interval '1 millisecond' and not exists (
      -- Of the session of another role nothing but the number is shown.
      select from pg_stat_get_activity(lease.session_pid) as session
      where session.backend_start is null or session.backend_start = lease.session_start
    ))`;
  return sql<{ owner: string }>`
    with recursive owners(owner) as (
      (select owner from execution_claim where owner is not null order by owner limit 1)
      union all
      select (select claim.owner from execution_claim as claim where claim.owner > owners.owner
              order by claim.owner limit 1)
        from owners where owners.owner is not null
    ), others as materialized (
      select owner from owners where owner <> ${claimer} and ${isClockAsExpected(now)}
    ), ended as (
      -- Of two who bury one owner the second finds no lease any more; an owner that renews meanwhile keeps its own.
      delete from lease using others where lease.owner = others.owner and (${isDead}) returning lease.owner
    )
    select owner from ended
    union all
    select owner from others where not exists (select from lease where lease.owner = others.owner)`;
}

/**
 * A life that was as long as a loss counts was no failure: whatever ends it then, losses before it were not in a row. What
 * the owner writes at this moment, which lives then, is left for the next time.
 */
function bury(owner: string): RawBuilder<unknown> {
  return sql`
    with held as materialized (
      select execution_id, losses from execution_claim where owner = ${owner}
       order by execution_id for update skip locked
    ), judged as materialized (
      select execution_id, losses >= 2 or not exists (select from held where losses >= 2) as is_blamed from held
    )
    update execution_claim as claim
       set owner = null, run_ms = ${ranMs}, run_since = null, due_time = ${dueFirst},
           losses = judged.is_blamed::int
                  + case when claim.run_since < now() - ${lossLife} then 0 else claim.losses end,
           loss_time = case when judged.is_blamed then now() else claim.loss_time end
      from judged where claim.execution_id = judged.execution_id`;
}
