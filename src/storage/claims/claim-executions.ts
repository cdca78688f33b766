import { type Kysely, sql } from "kysely";
import type { Account } from "../../domain/account.ts";
import type { NewExecution } from "../../domain/execution.ts";
import type { Claim } from "../executions/claim-row.ts";
import { ownerOrganization, ranMs, startColumns, toNewExecution } from "../executions/execution-rows.ts";
import { isTimedOut, isUnavailable } from "../postgres/database-errors.ts";
import { inputRows } from "../postgres/input-rows.ts";
import type { Tables } from "../postgres/tables.ts";
import { type LinkedAccount, toLinkedAccount } from "../tenants/tenant-store.ts";
import { accountTypes, toAccountRow } from "./next-accounts.ts";
import { isSuspect, lossesMax } from "./release-claim.ts";

export type Claimer = {
  readonly owner: string;
  /** How many executions of each account are taken at most. */
  readonly shares: readonly Share[];
  /** Told of each execution that was taken and could not be read: it is to be put off, and the others go on. */
  readonly onUnread?: (claim: Claim, error: unknown) => void;
};

export type Share = Account & { readonly count: number };

/** An execution to run, or to go on with from what its journal holds. */
export type ClaimedExecution = NewExecution & {
  readonly epoch: number;
  /** Whether its owners may have died of it: then it was claimed alone. */
  readonly isSuspect: boolean;
  /** How often it was tried as a suspect, and did no harm then. */
  readonly trials: number;
  readonly linkedAccount: LinkedAccount;
  /** The wrapped key of what it hides. */
  readonly sealKey?: string;
  /** The time that it was last let sleep until, which is over; by the clock of the run that slept. */
  readonly wakeTime?: number;
  /** Whether its response is kept already. */
  readonly isAnswered: boolean;
};

const isAnswered = sql<boolean>`execution.response is not null`.as("is_answered");

/** Takes executions over: see ExecutionStore.claim. */
export async function claimExecutions(db: Kysely<Tables>, claimer: Claimer): Promise<readonly ClaimedExecution[]> {
  try {
    const rows = await withStarts(takeClaims(db, claimer)).execute();
    return rows.flatMap((row) => toClaimed(row, claimer));
  } catch (error) {
    // Nothing was taken, and one of the rows may be why: each is read by itself.
    if (isUnavailable(error) && !isTimedOut(error)) throw error;
    return await claimOneByOne(db, claimer);
  }
}

async function claimOneByOne(db: Kysely<Tables>, claimer: Claimer): Promise<readonly ClaimedExecution[]> {
  const claimed: ClaimedExecution[] = [];
  for (const taken of await takeClaims(db, claimer).selectFrom("taken").selectAll().execute()) {
    const { execution_id: id, environment_id, ...claim } = taken;
    try {
      const row = await readStart(db, { id, environment_id });
      claimed.push(...toClaimed({ ...row, ...claim }, claimer));
    } catch (error) {
      tellUnread({ id, environment_id, epoch: claim.epoch }, claimer, error);
    }
  }
  return claimed;
}

type ExecutionPlace = { readonly id: string; readonly environment_id: string };

async function readStart(db: Kysely<Tables>, { id, environment_id }: ExecutionPlace) {
  return await db
    .selectFrom("execution")
    .innerJoin("linked_account", (join) =>
      join
        .onRef("linked_account.environment_id", "=", "execution.environment_id")
        .onRef("linked_account.account_id", "=", "execution.linked_account_id"),
    )
    .select(startColumns)
    .select([
      ownerOrganization,
      isAnswered,
      "linked_account.account_id",
      "linked_account.name",
      "linked_account.attributes",
    ])
    .where("execution.id", "=", id)
    .where("execution.environment_id", "=", environment_id)
    .executeTakeFirstOrThrow();
}

type ClaimedRow = Awaited<ReturnType<typeof readStart>> & {
  readonly epoch: number;
  readonly seal_key: string | null;
  readonly wake_time: Date | null;
  readonly losses: number;
  readonly trials: number;
};

function toClaimed(row: ClaimedRow, claimer: Claimer): readonly ClaimedExecution[] {
  try {
    const { epoch, losses, trials, seal_key, wake_time } = row;
    const claim = {
      epoch,
      isSuspect: losses >= 2,
      trials,
      isAnswered: row.is_answered,
      ...(seal_key !== null && { sealKey: seal_key }),
      ...(wake_time !== null && { wakeTime: wake_time.getTime() }),
    };
    return [{ ...toNewExecution(row), ...claim, linkedAccount: toLinkedAccount(row) }];
  } catch (error) {
    tellUnread(row, claimer, error);
    return [];
  }
}

function tellUnread(
  { id, environment_id, epoch }: ExecutionPlace & { readonly epoch: number },
  { owner, onUnread }: Claimer,
  error: unknown,
): void {
  onUnread?.({ executionId: id, environmentId: environment_id, owner, epoch }, error);
}

const shareTypes = { ...accountTypes, count: "int" } as const;

function takeClaims(db: Kysely<Tables>, { owner, shares }: Claimer) {
  const input = shares.map((share) => ({ ...toAccountRow(share), count: share.count }));
  const limit = Math.max(
    1,
    shares.reduce((sum, { count }) => sum + count, 0),
  );
  return (
    db
      // Materialized: otherwise the planner may run a query with a limit more than once, and take too many.
      .with(
        (cte) => cte("suspect").materialized(),
        (query) =>
          query
            .selectFrom("execution_claim")
            .select("execution_id")
            .where(isSuspect)
            .where("losses", "<", lossesMax)
            .where("owner", "is", null)
            .where("due_time", "<=", sql<Date>`now()`)
            .where(({ not, exists, selectFrom }) =>
              not(
                exists(
                  selectFrom("execution_claim as tried")
                    .select("tried.execution_id")
                    .where(sql<boolean>`tried.losses >= 2`)
                    .where("tried.owner", "is not", null),
                ),
              ),
            )
            // One that was tried already is soon known for sure. What begins last before a process dies is what it most
            // likely died of, and ids begin with their time.
            .orderBy("losses", "desc")
            .orderBy("execution_id", "desc")
            .limit(1)
            // Not past a locked row: two who look at the same time must not take two.
            .forUpdate(),
      )
      .with(
        (cte) => cte("queued").materialized(),
        () => sql<{ execution_id: string }>`(
        select claim.execution_id
          from ${inputRows("share", shareTypes, input)}
          cross join lateral (
            select execution_id from execution_claim
             where environment_id = share.environment_id and linked_account_id = share.linked_account_id
               and owner is null and losses < 2 and due_time <= now()
             order by due_time limit share.count for update skip locked
          ) as claim
      )`,
      )
      // Those beside a suspect are locked in vain until the commit. The limit takes nothing away; without one that the planner
      // knows it expects hundreds of rows, and then it reads through all executions that ever ran.
      .with(
        (cte) => cte("chosen").materialized(),
        (query) =>
          query
            .selectFrom((from) =>
              from
                .selectFrom("suspect")
                .select("execution_id")
                .unionAll(
                  from
                    .selectFrom("queued")
                    .select("execution_id")
                    .where(({ not, exists, selectFrom }) => not(exists(selectFrom("suspect").select("execution_id")))),
                )
                .as("candidate"),
            )
            .select("execution_id")
            .limit(limit),
      )
      .with("taken", (query) =>
        query
          .updateTable("execution_claim")
          .set({ owner, epoch: sql`epoch + 1`, run_ms: ranMs, run_since: sql`now()`, due_set_time: null })
          .from("chosen")
          .whereRef("execution_claim.execution_id", "=", "chosen.execution_id")
          .returning([
            "execution_claim.execution_id",
            "environment_id",
            "epoch",
            "due_time",
            "seal_key",
            "losses",
            "trials",
            "wake_time",
          ]),
      )
  );
}

/** The executions that were taken, with what they start from. */
function withStarts(query: ReturnType<typeof takeClaims>) {
  return query
    .selectFrom("taken")
    .innerJoin("execution", (join) =>
      join
        .onRef("execution.id", "=", "taken.execution_id")
        .onRef("execution.environment_id", "=", "taken.environment_id"),
    )
    .innerJoin("linked_account", (join) =>
      join
        .onRef("linked_account.environment_id", "=", "execution.environment_id")
        .onRef("linked_account.account_id", "=", "execution.linked_account_id"),
    )
    .select(startColumns)
    .select([
      ownerOrganization,
      isAnswered,
      "taken.epoch",
      "taken.seal_key",
      "taken.trials",
      "taken.wake_time",
      "taken.losses",
      "linked_account.account_id",
      "linked_account.name",
      "linked_account.attributes",
    ])
    .orderBy("taken.due_time");
}
