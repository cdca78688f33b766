import { type Kysely, type RawBuilder, sql } from "kysely";
import { dueFirst, isQuarantined, lossLife, ranMs } from "../executions/execution-claim.ts";
import { isClockAsExpected } from "../postgres/database-clock.ts";
import type { Tables } from "../postgres/tables.ts";

/**
 * An owner whose database session is gone counts as dead once its last renewal is this old. A living owner gives up a
 * session that is silent for one second and renews on a new one in less time than this.
 */
const goneMs = 2_000;

/** The owner that reaps, and what the database's clock should say. Where it says something else, nobody is reaped. */
export type Reaping = { readonly owner: string; readonly now: number };

/** Rescues the executions of dead owners: processes whose lease expired, was dropped, or whose database session is gone. */
export class OwnerReaper {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Puts the executions of all dead owners back into the queue, but never those of the owner that asks. */
  async reap(reaping: Reaping): Promise<void> {
    await this.#db
      .transaction()
      .setIsolationLevel("read committed")
      .execute(async (transaction) => {
        const { rows } = await findDead(reaping).execute(transaction);
        for (const { owner } of rows) {
          await releaseAll(owner).execute(transaction);
        }
      });
  }
}

/** There are few owners, and one index step finds the next one (a loose index scan), however much each of them holds. */
function findDead({ owner: reaper, now }: Reaping): RawBuilder<{ owner: string }> {
  const isDead = sql`lease.expire_time <= now()
    -- Renewed in what is the future since the clock was set back, and not again.
    or lease.renew_time > now() + interval '1 second' or (
    -- A process of an earlier version names no session.
    lease.session_pid is not null and lease.renew_time < now() - ${goneMs} * interval '1 millisecond' and not exists (
      -- Postgres shows nothing but the number of another role's session.
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
      select owner from owners where owner <> ${reaper} and ${isClockAsExpected(now)}
    ), ended as (
      -- Of two that reap one owner the second finds no lease; an owner that renews meanwhile keeps its own.
      delete from lease using others where lease.owner = others.owner and (${isDead}) returning lease.owner
    )
    select owner from ended
    union all
    select owner from others where not exists (select from lease where lease.owner = others.owner)`;
}

/**
 * If the dead owner was running a quarantined execution, only that one's loss is counted; otherwise every execution that
 * it held gets one. Losses start again at zero where the owner ran for longer than they count. Rows that the owner is
 * writing at this moment are skipped: it is alive, and the next reaping decides.
 */
function releaseAll(owner: string): RawBuilder<unknown> {
  return sql`
    with held as materialized (
      select execution_id, losses from execution_claim where owner = ${owner}
       order by execution_id for update skip locked
    ), judged as materialized (
      select execution_id, ${isQuarantined} or not exists (select from held where ${isQuarantined}) as is_lost from held
    )
    update execution_claim as claim
       set owner = null, run_ms = ${ranMs}, run_since = null, due_time = ${dueFirst},
           losses = judged.is_lost::int
                  + case when claim.run_since < now() - ${lossLife} then 0 else claim.losses end,
           loss_time = case when judged.is_lost then now() else claim.loss_time end
      from judged where claim.execution_id = judged.execution_id`;
}
