import { type Kysely, sql } from "kysely";
import type { NewExecution, NodeRun } from "../domain/execution.ts";
import { buryDead } from "./bury.ts";
import { parseEntries, ranMs, startColumns, toNewExecution } from "./execution-rows.ts";
import { isSuspect, lossesMax } from "./ownership.ts";
import type { Tables } from "./tables.ts";
import { type LinkedAccount, toLinkedAccount } from "./tenant-store.ts";

export type Claimer = {
  readonly owner: string;
  readonly limit: number;
  /** Whether what other owners leave is taken over; where this is not set, it is. */
  readonly takesOver?: boolean;
};

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

export type Queue = {
  /** How many executions wait for somebody, up to a bound. */
  readonly queued: number;
  /** How many of them are suspects, up to a few hundred. */
  readonly suspects: number;
  /** When the next one is due that waits for a time. */
  readonly dueInMs: number | undefined;
};

/** Suspects are counted to share the time of their trials. */
const suspectsMax = 200;

/** Reads the queue: see ExecutionStore.getQueue. */
export async function readQueue(db: Kysely<Tables>, max: number): Promise<Queue> {
  const { rows } = await sql<{ queued: number; suspects: number; due_in: number | null }>`
    select
      (select count(*)::int from (
        select from execution_claim where owner is null and losses < 2 and due_time <= now() order by due_time limit ${max}
      ) as due) as queued,
      (select count(*)::int from (
        select from execution_claim where losses >= 2 and owner is null limit ${suspectsMax}
      ) as suspect) as suspects,
      (select extract(epoch from due_time - now())::float8 * 1000 from execution_claim
        where owner is null and losses < 2 and due_time > now() order by due_time limit 1) as due_in`.execute(db);
  const [row] = rows;
  const { queued = 0, suspects = 0, due_in } = row ?? {};
  return { queued: Math.min(queued + suspects, max), suspects, dueInMs: due_in ?? undefined };
}

/** Takes executions over: see ExecutionStore.claim. */
export async function claimExecutions(db: Kysely<Tables>, claimer: Claimer): Promise<readonly ClaimedExecution[]> {
  return await db
    .transaction()
    .setIsolationLevel("read committed")
    .execute(async (transaction) => {
      if (claimer.takesOver !== false) await buryDead(transaction, claimer.owner);
      const rows = await takeClaims(transaction, claimer);
      const journals = await readJournals(transaction, rows);
      return rows.map((row) => ({
        ...toNewExecution(row),
        epoch: row.epoch,
        isSuspect: row.is_suspect,
        linkedAccount: toLinkedAccount(row),
        ...(row.seal_key !== null && { sealKey: row.seal_key }),
        ...(journals.get(row.id) ?? { runs: [], nextFlushIndex: 0 }),
      }));
    });
}

async function takeClaims(db: Kysely<Tables>, { owner, limit }: Claimer) {
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
      (query) =>
        query
          .selectFrom("execution_claim")
          .select("execution_id")
          .where("owner", "is", null)
          .where(sql<boolean>`losses < 2`)
          .where("due_time", "<=", sql<Date>`now()`)
          .orderBy("due_time")
          .limit(limit)
          .forUpdate()
          .skipLocked(),
    )
    // Some rows too many are locked until the commit. A limit that the planner knows is worth that: one that is counted
    // makes it expect hundreds of rows, and then it reads through all executions that ever ran.
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
 * Reads what earlier owners wrote. In a statement of its own, with the claims held: the snapshot of the statement that
 * took them may be older than an earlier owner's last flush, and only from then on does that owner write no more.
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
