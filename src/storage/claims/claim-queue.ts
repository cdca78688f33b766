import { type Kysely, sql } from "kysely";
import type { Tables } from "../postgres/tables.ts";

/**
 * An environment, an account of it, how many, and whose environment it is. Processes tell each other theirs: one of an
 * earlier version tells no organisation, and reads the first three.
 */
export type AccountCount = readonly [
  environmentId: string,
  linkedAccountId: string,
  count: number,
  organizationId?: string,
];

export type Queue = {
  /** How many executions of each account wait for somebody; in all, up to a bound. */
  readonly queued: readonly AccountCount[];
  /** How many beside them are suspects, up to a few hundred. */
  readonly suspects: number;
  /** How many organisations there are; counted up to two. */
  readonly organizations: number;
  /** When the next one is due that waits for a time. */
  readonly dueInMs: number | undefined;
};

/** Suspects are counted to share the time of their trials. */
const suspectsMax = 200;

/** Reads the queue: see ExecutionStore.getQueue. */
export async function readQueue(db: Kysely<Tables>, max: number): Promise<Queue> {
  const { rows } = await sql<QueueRow>`
    select
      (select json_agg(json_build_array(environment_id, linked_account_id, count,
          (select organization_id from environment where environment.id = account.environment_id))) from (
        select environment_id, linked_account_id, count(*) from (
          select environment_id, linked_account_id from execution_claim
            where owner is null and losses < 2 and due_time <= now() order by due_time limit ${max}
        ) as due group by environment_id, linked_account_id
      ) as account) as queued,
      (select count(*)::int from (
        select from execution_claim where losses >= 2 and owner is null limit ${suspectsMax}
      ) as suspect) as suspects,
      (select count(*)::int from (select from organization limit 2) as first) as organizations,
      (select extract(epoch from due_time - now())::float8 * 1000 from execution_claim
        where owner is null and losses < 2 and due_time > now() order by due_time limit 1) as due_in`.execute(db);
  const [row] = rows;
  const { queued, suspects = 0, organizations = 0, due_in } = row ?? {};
  return { queued: queued ?? [], suspects, organizations, dueInMs: due_in ?? undefined };
}

type QueueRow = {
  readonly queued: AccountCount[] | null;
  readonly suspects: number;
  readonly organizations: number;
  readonly due_in: number | null;
};
