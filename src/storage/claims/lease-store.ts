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
  /** What the database's clock says, in milliseconds since 1970. */
  readonly now: number;
  readonly others: readonly OtherOwner[];
};

/** Another owner, as it told last. */
export type OtherOwner = { readonly owner: string; readonly process: string | null; readonly load: string | null };

/**
 * Which processes live. A lease ends by the database's clock, so that processes need not agree on the time.
 *
 * Give it the connection that is the lease's own: `Database.leaseDb`. A lease knows the session that renewed it last:
 * when that is gone, so in all likelihood is the process.
 */
export class LeaseStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /**
   * Takes the lease, or prolongs it, to end `ms` milliseconds from now, and keeps what the owner says of itself. Answers
   * the name of the session, and what the other owners with a lease have said.
   */
  async renew({ owner, ms, load, process }: Renewal): Promise<Renewed> {
    const { rows } = await sql<{ session: string; now: number; others: readonly OtherOwner[] | null }>`
      with others as materialized (
        select owner, process, load from lease where owner <> ${owner} and expire_time > now()
      ), forgotten as (
        -- What processes left that ended without letting go; for others an ended lease and none are the same.
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
    if (row === undefined) throw new Error("the database does not know its own session");
    return { session: row.session, now: row.now, others: row.others ?? [] };
  }

  /** Lets go: what the owner still holds may be taken over at once. */
  async drop(owner: string): Promise<void> {
    await this.#db.deleteFrom("lease").where("owner", "=", owner).execute();
  }
}
