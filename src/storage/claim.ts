import { type Kysely, sql } from "kysely";
import type { Account } from "../domain/account.ts";
import type { NewExecution, NodeRun } from "../domain/execution.ts";
import { ownerOrganization, parseEntries, ranMs, startColumns, toNewExecution } from "./execution-rows.ts";
import { inputRows } from "./input-rows.ts";
import { isSuspect, lossesMax } from "./ownership.ts";
import type { Tables } from "./tables.ts";
import { type LinkedAccount, toLinkedAccount } from "./tenant-store.ts";
import { accountTypes, toAccountRow } from "./turns.ts";

export type Claimer = {
  readonly owner: string;
  /** How many executions of each account are taken at most. */
  readonly shares: readonly Share[];
};

export type Share = Account & { readonly count: number };

/** An execution to run, or to go on with, from what its journal holds. */
export type ClaimedExecution = NewExecution &
  Journal & {
    readonly epoch: number;
    /** Whether its owners may have died of it: then it was claimed alone. */
    readonly isSuspect: boolean;
    readonly linkedAccount: LinkedAccount;
    /** The wrapped key of what it hides. */
    readonly sealKey?: string;
  };

type Journal = { readonly runs: readonly NodeRun[]; readonly nextFlushIndex: number };

/** Takes executions over: see ExecutionStore.claim. */
export async function claimExecutions(db: Kysely<Tables>, claimer: Claimer): Promise<readonly ClaimedExecution[]> {
  const rows = await takeClaims(db, claimer);
  const journals = await readJournals(db, rows);
  return rows.map((row) => ({
    ...toNewExecution(row),
    epoch: row.epoch,
    isSuspect: row.is_suspect,
    linkedAccount: toLinkedAccount(row),
    ...(row.seal_key !== null && { sealKey: row.seal_key }),
    ...(journals.get(row.id) ?? { runs: [], nextFlushIndex: 0 }),
  }));
}

const shareTypes = { ...accountTypes, count: "int" } as const;

async function takeClaims(db: Kysely<Tables>, { owner, shares }: Claimer) {
  const input = shares.map((share) => ({ ...toAccountRow(share), count: share.count }));
  const limit = Math.max(
    1,
    shares.reduce((sum, { count }) => sum + count, 0),
  );
  return await db
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
        .set({ owner, epoch: sql`epoch + 1`, run_ms: ranMs, run_since: sql`now()` })
        .from("chosen")
        .whereRef("execution_claim.execution_id", "=", "chosen.execution_id")
        .returning(["execution_claim.execution_id", "environment_id", "epoch", "due_time", "seal_key", "losses"]),
    )
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
      "taken.epoch",
      "taken.seal_key",
      sql<boolean>`taken.losses >= 2`.as("is_suspect"),
      "linked_account.account_id",
      "linked_account.name",
      "linked_account.attributes",
    ])
    .orderBy("taken.due_time")
    .execute();
}

/**
 * Reads what earlier owners wrote, once the claims are committed: only from then on do those owners write no more. The
 * snapshot of the statement that took them may be older than an earlier owner's last flush.
 */
async function readJournals(
  db: Kysely<Tables>,
  claimed: readonly { readonly id: string; readonly environment_id: string; readonly epoch: number }[],
): Promise<ReadonlyMap<string, Journal>> {
  const journals = new Map<string, { runs: NodeRun[]; nextFlushIndex: number }>();
  const resumed = claimed.filter(({ epoch }) => epoch > 1);
  if (resumed.length === 0) {
    return journals;
  }
  const rows = await db
    .selectFrom("journal")
    .select(["execution_id", "flush_index", "entries"])
    .where(({ eb, refTuple, tuple }) =>
      eb(
        refTuple("execution_id", "environment_id"),
        "in",
        resumed.map(({ id, environment_id }) => tuple(id, environment_id)),
      ),
    )
    .orderBy("execution_id")
    .orderBy("flush_index")
    .execute();
  for (const { execution_id, flush_index, entries } of rows) {
    const journal = journals.get(execution_id) ?? { runs: [], nextFlushIndex: 0 };
    for (const run of parseEntries(entries)) {
      journal.runs.push(run);
    }
    journal.nextFlushIndex = flush_index + 1;
    journals.set(execution_id, journal);
  }
  return journals;
}
