import { type Kysely, type RawBuilder, sql } from "kysely";
import type { Account } from "../../domain/account.ts";
import { isDue, isQuarantined, isQueued } from "../executions/execution-claim.ts";
import { inputRows } from "../postgres/input-rows.ts";
import type { Tables } from "../postgres/tables.ts";

/**
 * How many executions of an account wait: its environment, the account, the count, and the environment's organisation.
 * Processes exchange these tuples. One of an earlier version sends no organisation, and reads the first three members.
 */
export type AccountCount = readonly [
  environmentId: string,
  linkedAccountId: string,
  count: number,
  organizationId?: string,
];

export type QueueCounts = {
  /** Due executions of each account; their sum has a bound. */
  readonly queued: readonly AccountCount[];
  /** Quarantined executions that nobody owns, up to a few hundred. */
  readonly quarantined: number;
  /** Organisations, counted up to two. */
  readonly organizations: number;
  /** How soon the next execution is due that waits for a time. */
  readonly dueInMs: number | undefined;
};

/** Where a process of the fair queue goes on, and what it wants. */
export type NextAccountsQuery = {
  /** Search behind this environment; from the first one where it is not set. */
  readonly after: string | undefined;
  /** The account that was served last in each environment: those behind it come first. */
  readonly last: readonly AccountId[];
  /** How many accounts are wanted. A few of each environment are found at the least. */
  readonly limit: number;
  /** Accounts, environments and organisations that have no free slot. */
  readonly full: Full;
};

/** The key of an account. */
export type AccountId = Omit<Account, "organizationId">;

export type Full = {
  readonly accounts: readonly AccountId[];
  readonly environmentIds: readonly string[];
  readonly organizationIds: readonly string[];
};

export type NextAccounts = {
  /** Accounts with due executions, by environment, and within one in the order in which they are served. */
  readonly accounts: readonly Account[];
  /** The account at which the search in an environment stopped, where nothing on its way was due. */
  readonly passed: readonly AccountId[];
  /** Go on behind this environment; undefined behind the last one. */
  readonly next: string | undefined;
};

/** Bounds of one statement: environments, and accounts of each, many of which may have nothing that is due. */
const environmentsMax = 100;
const accountsMax = 100;

/** Accounts that are found in an environment, where it has that many, however many environments there are. */
const accountsMin = 4;

/** Quarantined executions are counted so that they can share the time for running them. */
const quarantinedMax = 200;

export const accountTypes = { environment_id: "text", linked_account_id: "text" } as const;

export function toAccountRow({ environmentId, linkedAccountId }: AccountId) {
  return { environment_id: environmentId, linked_account_id: linkedAccountId };
}

/** Reads the queue of executions that wait for a process. It is fair: environments and their accounts are served round robin. */
export class ClaimQueue {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Counts what waits, `max` due executions at most, and finds when the next one is due. */
  async count(max: number): Promise<QueueCounts> {
    const { rows } = await sql<CountsRow>`
      select
        (select json_agg(json_build_array(environment_id, linked_account_id, count,
            (select organization_id from environment where environment.id = account.environment_id))) from (
          select environment_id, linked_account_id, count(*) from (
            select environment_id, linked_account_id from execution_claim
              where ${isDue} order by due_time limit ${max}
          ) as due group by environment_id, linked_account_id
        ) as account) as queued,
        (select count(*)::int from (
          select from execution_claim where ${isQuarantined} and owner is null limit ${quarantinedMax}
        ) as quarantine) as quarantined,
        (select count(*)::int from (select from organization limit 2) as first) as organizations,
        (select extract(epoch from due_time - now())::float8 * 1000 from execution_claim
          where ${isQueued} and due_time > now() order by due_time limit 1) as due_in`.execute(this.#db);
    const [row] = rows;
    const { queued, quarantined = 0, organizations = 0, due_in } = row ?? {};
    return { queued: queued ?? [], quarantined, organizations, dueInMs: due_in ?? undefined };
  }

  /**
   * Finds the next accounts of some environments that have due executions and a free slot. One index step finds each
   * environment and each account (a loose index scan), however much the others have queued. The search in one environment
   * takes nothing from the search in the next.
   */
  async nextAccounts({ after, last, limit, full }: NextAccountsQuery): Promise<NextAccounts> {
    const { rows } = await sql<AccountRow>`
      with recursive place(environment_id, count) as (
        select ${after ?? ""}::text collate "C", 0
        union all
        select next.environment_id, place.count + 1
          from place
          cross join lateral (
            select environment_id from execution_claim as claim
             where ${isQueued} and claim.environment_id > place.environment_id
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
      ), wanted as materialized (
        select greatest(${accountsMin}, ${limit}::int / greatest(1, count(*))) as count from open
      )
      select open.organization_id, open.environment_id, found.linked_account_id, found.is_due, open.count, found.count as step
        from open cross join lateral (${accountsOfOne(full)}) as found
      union all
      select '', environment_id, null, false, count, 0 from place where count = ${environmentsMax}
       order by count, step`.execute(this.#db);
    const found = rows.flatMap(({ linked_account_id, ...row }) =>
      linked_account_id === null ? [] : [toAccount(row, linked_account_id)],
    );
    return {
      accounts: found.flatMap(({ account, is_due }) => (is_due ? [account] : [])),
      passed: found.flatMap(({ account, is_due }) => (is_due ? [] : [account])),
      next: rows.find(({ linked_account_id }) => linked_account_id === null)?.environment_id,
    };
  }
}

/** Steps through the accounts of the environment `open`: behind the one served last to the end, then from the first one on. */
function accountsOfOne(full: Full): RawBuilder<unknown> {
  return sql`
        with recursive step(linked_account_id, is_around, is_due, due_count, count) as (
          select open.last_account, false, false, 0, 0
          union all
          select next.linked_account_id, next.is_around, due.is_due, step.due_count + due.is_due::int, step.count + 1
            from step
            cross join lateral (
              select * from (
                (select linked_account_id, step.is_around from execution_claim as claim
                  where ${isQueued} and claim.environment_id = open.environment_id
                    and claim.linked_account_id > step.linked_account_id
                  order by linked_account_id limit 1)
                union all
                (select linked_account_id, true from execution_claim as claim
                  where ${isQueued} and claim.environment_id = open.environment_id
                    and not step.is_around
                  order by linked_account_id limit 1)
              ) as either(linked_account_id, is_around) order by is_around limit 1
            ) as next
            cross join lateral (
              select exists (
                  select from execution_claim as claim
                   where ${isDue}
                     and claim.environment_id = open.environment_id
                     and claim.linked_account_id = next.linked_account_id)
                and not exists (
                  select from ${inputRows("busy", accountTypes, full.accounts.map(toAccountRow))}
                   where busy.environment_id = open.environment_id
                     and busy.linked_account_id = next.linked_account_id)
                as is_due
            ) as due
           where not (next.is_around and next.linked_account_id > open.last_account)
             and step.due_count < (select count from wanted) and step.count < ${accountsMax}
        )
        select linked_account_id, is_due, count from step
         where is_due or count = ${accountsMax} and due_count = 0`;
}

type CountsRow = {
  readonly queued: AccountCount[] | null;
  readonly quarantined: number;
  readonly organizations: number;
  readonly due_in: number | null;
};

type AccountRow = {
  readonly organization_id: string;
  readonly environment_id: string;
  /** Null on the row of the last environment that was looked at, where there may be more. */
  readonly linked_account_id: string | null;
  readonly is_due: boolean;
};

function toAccount(
  { organization_id, environment_id, is_due }: Omit<AccountRow, "linked_account_id">,
  linkedAccountId: string,
) {
  const account: Account = { organizationId: organization_id, environmentId: environment_id, linkedAccountId };
  return { account, is_due };
}
