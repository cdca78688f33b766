import { type Kysely, sql } from "kysely";
import type { Tables } from "../postgres/tables.ts";

export type Renewal = {
  readonly owner: string;
  readonly ms: number;
  readonly load?: string;
  readonly process?: string | undefined;
};

export type Renewed = {
  readonly session: string;
  /** The database's clock, in milliseconds since 1970. */
  readonly now: number;
  readonly others: readonly OtherOwner[];
};

/** The last report of another owner. */
export type OtherOwner = { readonly owner: string; readonly process: string | null; readonly load: string | null };

/**
 * Leases: a process is alive while its heartbeat renews its lease in time. A lease expires by the database's clock, so that
 * the processes need not agree on the time. It names the database session that renewed it last: a process whose session is
 * gone is most likely dead.
 *
 * Construct it with `Database.leaseDb`, whose connection nothing else uses.
 */
export class LeaseStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /**
   * The heartbeat: takes or prolongs the lease, to expire in `ms` milliseconds, and stores the owner's report. Answers the
   * database session and the reports of the other living owners.
   */
  async renew({ owner, ms, load, process }: Renewal): Promise<Renewed> {
    const { rows } = await sql<{ session: string; now: number; others: readonly OtherOwner[] | null }>`
      with others as materialized (
        select owner, process, load from lease where owner <> ${owner} and expire_time > now()
      ), forgotten as (
        -- Leases of processes that crashed. To others an expired lease and no lease are the same.
        delete from lease where owner <> ${owner} and expire_time < now() - interval '1 minute'
      )
      insert into lease (owner, expire_time, renew_time, session_pid, session_start, load, process)
      select ${owner}, now() + ${ms}::float8 * interval '1 millisecond', now(), pid, backend_start, ${load ?? null}, ${process ?? null}
        from pg_stat_get_activity(pg_backend_pid())
      on conflict (owner) do update set
        expire_time = excluded.expire_time, renew_time = excluded.renew_time,
        session_pid = excluded.session_pid, session_start = excluded.session_start, load = excluded.load,
        process = excluded.process
      returning session_pid || ' ' || session_start as session,
        extract(epoch from now())::float8 * 1000 as now,
        (select json_agg(others) from others) as others`.execute(this.#db);
    const [row] = rows;
    if (row === undefined) {
      throw new Error("the database does not know its own session");
    }
    return { session: row.session, now: row.now, others: row.others ?? [] };
  }

  /** Drops the lease: others may rescue at once what the owner still has. */
  async drop(owner: string): Promise<void> {
    await this.#db.deleteFrom("lease").where("owner", "=", owner).execute();
  }
}
