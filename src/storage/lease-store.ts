import { type Kysely, sql } from "kysely";
import type { Tables } from "./tables.ts";

/**
 * Which processes live. A lease ends by the database's clock, so that processes need not agree on the time.
 *
 * Give it the connection that is the lease's own: `Database.leaseDb`.
 */
export class LeaseStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Takes the lease, or prolongs it, to end `ms` milliseconds from now. */
  async renew({ owner, ms }: { readonly owner: string; readonly ms: number }): Promise<void> {
    const expireTime = sql<Date>`now() + ${ms}::float8 * interval '1 millisecond'`;
    await this.#db
      // What processes left that ended without letting go; for others an ended lease and none are the same.
      .with("forgotten", (query) =>
        query
          .deleteFrom("lease")
          .where("owner", "!=", owner)
          .where("expire_time", "<", sql<Date>`now() - interval '1 hour'`),
      )
      .insertInto("lease")
      .values({ owner, expire_time: expireTime })
      .onConflict((conflict) => conflict.column("owner").doUpdateSet({ expire_time: expireTime }))
      .execute();
  }

  /** Lets go: what the owner still holds may be taken over at once. */
  async drop(owner: string): Promise<void> {
    await this.#db.deleteFrom("lease").where("owner", "=", owner).execute();
  }
}
