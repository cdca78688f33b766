import { type Kysely, type QueryCreator, sql } from "kysely";
import type { Account } from "../../domain/account.ts";
import type { NewExecution } from "../../domain/execution.ts";
import { type Claim, isDue, isQuarantined, poisonLosses, ranMs } from "../executions/execution-claim.ts";
import { ownerOrganization, startColumns, toNewExecution } from "../executions/execution-rows.ts";
import { isTimedOut, isUnavailable } from "../postgres/database-errors.ts";
import { inputRows } from "../postgres/input-rows.ts";
import type { Tables } from "../postgres/tables.ts";
import { type LinkedAccount, toLinkedAccount } from "../tenants/tenant-store.ts";
import { accountTypes, toAccountRow } from "./claim-queue.ts";

export type Claimer = {
  readonly owner: string;
  /** How many executions of each account it claims at most. */
  readonly shares: readonly Share[];
  /** Called with each execution that was claimed and could not be read: the caller backs off, and the others go on. */
  readonly onUnread?: (claim: Claim, error: unknown) => void;
};

export type Share = Account & { readonly count: number };

/** An execution to run, or to go on with from its journal. */
export type ClaimedExecution = NewExecution & {
  readonly epoch: number;
  /** Its owners may have died of it, so that it was claimed alone. */
  readonly isQuarantined: boolean;
  /** How often it has run in quarantine and done no harm. */
  readonly quarantineRuns: number;
  readonly linkedAccount: LinkedAccount;
  /** Its data key, wrapped by a master key (envelope encryption). */
  readonly sealKey?: string;
  /** When it was due, in milliseconds since 1970; 0 where its owner is gone or gave it back. */
  readonly dueTime: number;
  /** When its last sleep ended, in milliseconds since 1970, by the clock of the process that went to sleep. */
  readonly wakeTime?: number;
  /** Whether its response is committed already. */
  readonly isAnswered: boolean;
};

const isAnswered = sql<boolean>`execution.response is not null`.as("is_answered");

/**
 * Claims executions, each in a new epoch: of each account the oldest that are due, and no more than its share. Two claimers
 * never get the same execution. A quarantined execution is claimed alone, and only while nobody owns another one.
 */
export async function claimExecutions(db: Kysely<Tables>, claimer: Claimer): Promise<readonly ClaimedExecution[]> {
  try {
    const rows = await withStarts(takeClaims(db, claimer)).execute();
    return rows.flatMap((row) => toClaimed(row, claimer));
  } catch (error) {
    // Nothing was claimed, and one unreadable row may be the reason: read each row by itself.
    if (isUnavailable(error) && !isTimedOut(error)) {
      throw error;
    }
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
      reportUnread({ id, environment_id, epoch: claim.epoch }, claimer, error);
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
  readonly due_time: Date;
  readonly seal_key: string | null;
  readonly wake_time: Date | null;
  readonly is_quarantined: boolean;
  readonly trials: number;
};

function toClaimed(row: ClaimedRow, claimer: Claimer): readonly ClaimedExecution[] {
  try {
    const { epoch, due_time, is_quarantined, trials, seal_key, wake_time } = row;
    const claim = {
      epoch,
      dueTime: due_time.getTime(),
      isQuarantined: is_quarantined,
      quarantineRuns: trials,
      isAnswered: row.is_answered,
      ...(seal_key !== null && { sealKey: seal_key }),
      ...(wake_time !== null && { wakeTime: wake_time.getTime() }),
    };
    return [{ ...toNewExecution(row), ...claim, linkedAccount: toLinkedAccount(row) }];
  } catch (error) {
    reportUnread(row, claimer, error);
    return [];
  }
}

function reportUnread(
  { id, environment_id, epoch }: ExecutionPlace & { readonly epoch: number },
  { owner, onUnread }: Claimer,
  error: unknown,
): void {
  onUnread?.({ executionId: id, environmentId: environment_id, owner, epoch }, error);
}

const shareTypes = { ...accountTypes, count: "int" } as const;

function takeClaims(db: Kysely<Tables>, { owner, shares }: Claimer) {
  const input = shares.map((share) => ({ ...toAccountRow(share), count: share.count }));
  const sum = shares.reduce((counted, { count }) => counted + count, 0);
  return (
    db
      // Materialized: otherwise the planner may run a query with a limit more than once, and claim too many.
      .with((cte) => cte("quarantined").materialized(), nextQuarantined)
      .with(
        (cte) => cte("queued").materialized(),
        () => sql<{ execution_id: string }>`(
        select claim.execution_id
          from ${inputRows("share", shareTypes, input)}
          cross join lateral (
            select execution_id from execution_claim
             where environment_id = share.environment_id and linked_account_id = share.linked_account_id
               and ${isDue}
             order by due_time limit share.count for update skip locked
          ) as claim
      )`,
      )
      // When a quarantined execution is chosen, the queued rows locked here go unused. The `limit` changes nothing but the
      // planner's estimate; without it the planner expects hundreds of rows and reads all executions that ever ran.
      .with(
        (cte) => cte("chosen").materialized(),
        (query) =>
          query
            .selectFrom((from) =>
              from
                .selectFrom("quarantined")
                .select("execution_id")
                .unionAll(
                  from
                    .selectFrom("queued")
                    .select("execution_id")
                    .where(({ not, exists, selectFrom }) =>
                      not(exists(selectFrom("quarantined").select("execution_id"))),
                    ),
                )
                .as("candidate"),
            )
            .select("execution_id")
            .limit(Math.max(1, sum)),
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
            isQuarantined.as("is_quarantined"),
            "trials",
            "wake_time",
          ]),
      )
  );
}

/** The execution to run in quarantine next, where no process runs one already. */
function nextQuarantined(query: QueryCreator<Tables>) {
  return (
    query
      .selectFrom("execution_claim")
      .select("execution_id")
      .where(isQuarantined)
      .where("losses", "<", poisonLosses)
      .where("owner", "is", null)
      .where("due_time", "<=", sql<Date>`now()`)
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom("execution_claim as running")
              .select("running.execution_id")
              .where(sql<boolean>`running.${isQuarantined}`)
              .where("running.owner", "is not", null),
          ),
        ),
      )
      // First the one with the most losses, which is soon known for sure. Then the youngest, since a process most likely
      // dies of what it began last; ids begin with their time.
      .orderBy("losses", "desc")
      .orderBy("execution_id", "desc")
      .limit(1)
      // Without `skip locked`: two processes that look at the same time must not claim two.
      .forUpdate()
  );
}

/** Joins the claimed rows with what each execution starts from. */
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
      "taken.due_time",
      "taken.seal_key",
      "taken.trials",
      "taken.wake_time",
      "taken.is_quarantined",
      "linked_account.account_id",
      "linked_account.name",
      "linked_account.attributes",
    ])
    .orderBy("taken.due_time");
}
