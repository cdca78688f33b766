import { type Kysely, sql } from "kysely";
import type { Account } from "../../domain/account.ts";
import { inputRows } from "../postgres/input-rows.ts";
import type { Tables } from "../postgres/tables.ts";

/** Which accounts to look for. */
export type TurnQuery = {
  /** Behind which environment; from the first one on where it is not set. */
  readonly after: string | undefined;
  /** Of each environment the account whose turn was last: those behind it come first. */
  readonly last: readonly AccountId[];
  /** How many accounts are wanted; a few of each environment are found at the least. */
  readonly limit: number;
  /** Who may run no more. */
  readonly full: Full;
};

/** What an account is found by. */
export type AccountId = Omit<Account, "organizationId">;

export type Full = {
  readonly accounts: readonly AccountId[];
  readonly environmentIds: readonly string[];
  readonly organizationIds: readonly string[];
};

export type Turns = {
  /** Accounts that have something due: of one environment after the other, of each in the order of their turns. */
  readonly accounts: readonly Account[];
  /** Of environments where a search was given up the account that it came to, with nothing due on the way. */
  readonly passed: readonly AccountId[];
  /** Behind which environment to go on; undefined behind the last one. */
  readonly next: string | undefined;
};

/** How many environments are looked at by one statement, and how many accounts of each: many may have nothing that is due. */
const environmentsMax = 100;
const accountsMax = 100;

/** How many accounts of an environment are found, where there are that many, however many environments there are. */
const accountsMin = 4;

export const accountTypes = { environment_id: "text", linked_account_id: "text" } as const;

export function toAccountRow({ environmentId, linkedAccountId }: AccountId) {
  return { environment_id: environmentId, linked_account_id: linkedAccountId };
}

/**
 * See ExecutionStore.findTurns. Each environment, and each account of it, is found by one step in the index (a loose
 * index scan), however much others have queued: the search among the accounts of one environment takes nothing from
 * that of the next.
 */
export async function findTurns(db: Kysely<Tables>, { after, last, limit, full }: TurnQuery): Promise<Turns> {
  const { rows } = await sql<TurnRow>`
    with recursive place(environment_id, count) as (
      select ${after ?? ""}::text collate "C", 0
      union all
      select next.environment_id, place.count + 1
        from place
        cross join lateral (
          select environment_id from execution_claim as claim
           where owner is null and losses < 2 and claim.environment_id > place.environment_id
           order by environment_id limit 1
        ) as next
       where place.count < ${environmentsMax}
    ), open as materialized (
      select environment.organization_id, place.environment_id, place.count,
          coalesce(last.linked_account_id, '') collate "C" as last_account
        from place join environment on environment.id = place.environment_id
        left join ${inputRows("last", accountTypes, last.map(toAccountRow))} on last.environment_id = place.environment_id
       where place.environment_id <> all (${full.environmentIds}::text[])
         and environment.organization_id <> all (${full.organizationIds}::text[])
    ), enough as materialized (
      select greatest(${accountsMin}, ${limit}::int / greatest(1, count(*))) as count from open
    )
    select open.organization_id, open.environment_id, turn.linked_account_id, turn.is_due, open.count, turn.count as step
      from open cross join lateral (
        -- From behind the last one to the end, and then from the first one to the last one.
        with recursive step(linked_account_id, is_around, is_due, due_count, count) as (
          select open.last_account, false, false, 0, 0
          union all
          select next.linked_account_id, next.is_around, due.is_due, step.due_count + due.is_due::int, step.count + 1
            from step
            cross join lateral (
              select * from (
                (select linked_account_id, step.is_around from execution_claim as claim
                  where owner is null and losses < 2 and claim.environment_id = open.environment_id
                    and claim.linked_account_id > step.linked_account_id
                  order by linked_account_id limit 1)
                union all
                (select linked_account_id, true from execution_claim as claim
                  where owner is null and losses < 2 and claim.environment_id = open.environment_id
                    and not step.is_around
                  order by linked_account_id limit 1)
              ) as either(linked_account_id, is_around) order by is_around limit 1
            ) as next
            cross join lateral (
              select exists (
                  select from execution_claim as claim
                   where owner is null and losses < 2 and due_time <= now()
                     and claim.environment_id = open.environment_id
                     and claim.linked_account_id = next.linked_account_id)
                and not exists (
                  select from ${inputRows("busy", accountTypes, full.accounts.map(toAccountRow))}
                   where busy.environment_id = open.environment_id
                     and busy.linked_account_id = next.linked_account_id)
                as is_due
            ) as due
           where not (next.is_around and next.linked_account_id > open.last_account)
             and step.due_count < (select count from enough) and step.count < ${accountsMax}
        )
        select linked_account_id, is_due, count from step
         where is_due or count = ${accountsMax} and due_count = 0
      ) as turn
    union all
    select '', environment_id, null, false, count, 0 from place where count = ${environmentsMax}
     order by count, step`.execute(db);
  const found = rows.flatMap(({ linked_account_id, ...row }) =>
    linked_account_id === null ? [] : [toTurn(row, linked_account_id)],
  );
  return {
    accounts: found.flatMap(({ account, is_due }) => (is_due ? [account] : [])),
    passed: found.flatMap(({ account, is_due }) => (is_due ? [] : [account])),
    next: rows.find(({ linked_account_id }) => linked_account_id === null)?.environment_id,
  };
}

type TurnRow = {
  readonly organization_id: string;
  readonly environment_id: string;
  /** Null on the row of the last environment, where there may be more of them. */
  readonly linked_account_id: string | null;
  readonly is_due: boolean;
};

function toTurn(
  { organization_id, environment_id, is_due }: Omit<TurnRow, "linked_account_id">,
  linkedAccountId: string,
) {
  const account: Account = { organizationId: organization_id, environmentId: environment_id, linkedAccountId };
  return { account, is_due };
}
