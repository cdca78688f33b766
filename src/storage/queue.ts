import { type Kysely, sql } from "kysely";
import type { Account } from "../domain/account.ts";
import { inputRows } from "./input-rows.ts";
import type { Tables } from "./tables.ts";

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
  /** When the next one is due that waits for a time. */
  readonly dueInMs: number | undefined;
};

/** Suspects are counted to share the time of their trials. */
const suspectsMax = 200;

/** Reads the queue: see ExecutionStore.getQueue. */
export async function readQueue(db: Kysely<Tables>, max: number): Promise<Queue> {
  const { rows } = await sql<{ queued: AccountCount[] | null; suspects: number; due_in: number | null }>`
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
      (select extract(epoch from due_time - now())::float8 * 1000 from execution_claim
        where owner is null and losses < 2 and due_time > now() order by due_time limit 1) as due_in`.execute(db);
  const [row] = rows;
  const { queued, suspects = 0, due_in } = row ?? {};
  return { queued: queued ?? [], suspects, dueInMs: due_in ?? undefined };
}

/** Which accounts to look for. */
export type TurnQuery = {
  /** Whose turn was last; from the first one on where it is not set. */
  readonly after: Account | undefined;
  readonly limit: number;
  /** Who may run no more. */
  readonly full: Full;
};

export type Full = { readonly accounts: readonly Account[]; readonly environmentIds: readonly string[] };

export type Turns = {
  /** Accounts that have something due, in their order. */
  readonly accounts: readonly Account[];
  /** Where to go on; undefined behind the last account. */
  readonly next: Account | undefined;
};

/** How many accounts are looked at by one statement: many may have nothing that is due. */
const accountsMax = 500;

/** What an account is found by, as an input row. */
export const accountTypes = { environment_id: "text", linked_account_id: "text" } as const;

export function toAccountRow({ environmentId, linkedAccountId }: Omit<Account, "organizationId">) {
  return { environment_id: environmentId, linked_account_id: linkedAccountId };
}

/** See ExecutionStore.findTurns. Each account is found by one step in the index, however much it has queued. */
export async function findTurns(db: Kysely<Tables>, { after, limit, full }: TurnQuery): Promise<Turns> {
  const from = toAccountRow(after ?? { environmentId: "", linkedAccountId: "" });
  const { rows } = await sql<AccountRow & { is_due: boolean; is_last: boolean }>`
    with recursive step(environment_id, linked_account_id, is_due, due_count, count) as (
      select ${from.environment_id}::text collate "C", ${from.linked_account_id}::text collate "C", false, 0, 0
      union all
      select next.environment_id, next.linked_account_id, due.is_due, step.due_count + due.is_due::int, step.count + 1
        from step
        cross join lateral (
          select environment_id, linked_account_id from execution_claim as claim
           where owner is null and losses < 2
             and (claim.environment_id, claim.linked_account_id) > (step.environment_id, step.linked_account_id)
           order by environment_id, linked_account_id limit 1
        ) as next
        cross join lateral (
          select exists (
              select from execution_claim as claim
               where owner is null and losses < 2 and due_time <= now()
                 and claim.environment_id = next.environment_id and claim.linked_account_id = next.linked_account_id)
            and next.environment_id <> all (${full.environmentIds}::text[])
            and not exists (
              select from ${inputRows("busy", accountTypes, full.accounts.map(toAccountRow))}
               where busy.environment_id = next.environment_id and busy.linked_account_id = next.linked_account_id)
            as is_due
        ) as due
        where step.due_count < ${limit} and step.count < ${accountsMax}
    )
    select (select organization_id from environment where environment.id = step.environment_id) as organization_id,
        environment_id, linked_account_id, is_due, due_count >= ${limit} or count >= ${accountsMax} as is_last
      from step where count > 0 order by count`.execute(db);
  const last = rows.at(-1);
  return {
    accounts: rows.filter(({ is_due }) => is_due).map(toAccount),
    next: last?.is_last === true ? toAccount(last) : undefined,
  };
}

type AccountRow = {
  readonly organization_id: string;
  readonly environment_id: string;
  readonly linked_account_id: string;
};

function toAccount({ organization_id, environment_id, linked_account_id }: AccountRow): Account {
  return { organizationId: organization_id, environmentId: environment_id, linkedAccountId: linked_account_id };
}
