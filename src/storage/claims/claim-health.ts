import { type Kysely, sql } from "kysely";
import { isDue } from "../executions/execution-claim.ts";
import type { Tables } from "../postgres/tables.ts";

export type ClaimHealth = {
  /** Executions whose owner has no lease: nobody runs them, and the next sweep takes them over. */
  readonly orphans: number;
  /** How long the first execution of the queue has been due. */
  readonly oldestSeconds: number;
};

/** Reads what metrics say of all claims, by one step in the index of the queue and one for each execution that has an owner. */
export async function readClaimHealth(db: Kysely<Tables>): Promise<ClaimHealth> {
  const { rows } = await sql<{ orphans: number; oldest_seconds: number }>`
    select
      (select count(*)::int from execution_claim as claim
        where owner is not null and not exists (select from lease where lease.owner = claim.owner)) as orphans,
      (select coalesce(extract(epoch from now() - min(due_time)), 0)::float8 from execution_claim
        where ${isDue} and due_time > 'epoch') as oldest_seconds`.execute(db);
  const [{ orphans, oldest_seconds } = { orphans: 0, oldest_seconds: 0 }] = rows;
  return { orphans, oldestSeconds: oldest_seconds };
}
