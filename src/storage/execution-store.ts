import { type Kysely, sql } from "kysely";
import type { ExecutionError, ExecutionState, NewExecution, NodeRun, Outcome } from "../domain/execution.ts";
import { isId } from "../domain/id.ts";
import type { JsonText } from "../domain/json-text.ts";
import { type Begin, type BoundExecution, beginExecution, findBound } from "./begin.ts";
import { type ClaimedExecution, type Claimer, claimExecutions, type Queue, readQueue } from "./claim.ts";
import { claimState, ranMs, toAnswer, toOutcomeRow, toStartRow } from "./execution-rows.ts";
import { type ExpireLimits, expireExecutions } from "./expire.ts";
import type { Flush } from "./flush.ts";
import { deleteEnded, type Retention } from "./retention.ts";
import { type Stop, stopExecution } from "./stop.ts";
import type { Tables } from "./tables.ts";

/** Who writes for an execution. Once another has taken it over, the epoch is another and nothing is written. */
export type Claim = {
  readonly environmentId: string;
  readonly executionId: string;
  /** A name of the process of which no other start of it has ever the same. */
  readonly owner: string;
  readonly epoch: number;
};

/** How an execution stands, and what it answered. */
export type ExecutionRecord = {
  readonly state: ExecutionState;
  readonly response?: JsonText;
  readonly statusCode?: number;
  readonly error?: ExecutionError;
};

/**
 * What ran and runs. An execution is begun once and finished once; in between it has a claim, which says who runs it.
 *
 * Any write may be repeated after a fault that left its outcome unknown: what had been committed is recognised.
 */
export class ExecutionStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /**
   * Accepts an execution: owned at once in epoch 1, or queued where no owner is given. Answers the execution that its
   * idempotency key stands for already, if there is one; then nothing was accepted.
   */
  async begin(execution: NewExecution, begin: Begin = {}): Promise<BoundExecution | undefined> {
    return await beginExecution(this.#db, execution, begin);
  }

  /** The execution that a key of this execution's account stands for. */
  async findBound(execution: NewExecution, key: string): Promise<BoundExecution | undefined> {
    return await findBound(this.#db, execution, key);
  }

  /** Keeps an execution that has run to its end before anything of it was kept. */
  async recordFinished(execution: NewExecution, outcome: Outcome, runs: readonly NodeRun[]): Promise<void> {
    await this.#db
      .with("finished", (query) =>
        query
          .insertInto("execution")
          .values({ ...toStartRow(execution), ...toOutcomeRow(outcome), end_time: sql`now()` })
          .onConflict((conflict) => conflict.column("id").doNothing())
          .returning(["id", "environment_id"]),
      )
      .insertInto("journal")
      .columns(journalColumns)
      .expression((query) =>
        query
          .selectFrom("finished")
          .select(["finished.id", "finished.environment_id", ...flushValues({ epoch: 0, flush: { index: 0, runs } })])
          .where(sql<boolean>`${runs.length > 0}`),
      )
      .execute();
  }

  /** Adds to the journal. False: another has taken the execution over, and nothing was written. */
  async append(entry: Claim & { readonly flushIndex: number; readonly runs: readonly NodeRun[] }): Promise<boolean> {
    const { environmentId, executionId, owner, epoch, flushIndex, runs } = entry;
    const { numInsertedOrUpdatedRows = 0n } = await this.#db
      .with("held", (query) =>
        query
          .selectFrom("execution_claim")
          .select(["execution_id", "environment_id"])
          .where("execution_id", "=", executionId)
          .where("environment_id", "=", environmentId)
          .where("owner", "=", owner)
          .where("epoch", "=", epoch)
          // Whoever takes the claim over waits for this commit, or this statement for theirs.
          .forNoKeyUpdate(),
      )
      .insertInto("journal")
      .columns(journalColumns)
      .expression((query) =>
        query
          .selectFrom("held")
          .select([
            "held.execution_id",
            "held.environment_id",
            ...flushValues({ epoch, flush: { index: flushIndex, runs } }),
          ]),
      )
      .onConflict((conflict) => conflict.columns(["execution_id", "flush_index"]).doNothing())
      .executeTakeFirst();
    return numInsertedOrUpdatedRows > 0n || (await this.#hasAppended(entry));
  }

  /** Ends an execution for good. False: another has taken it over or ended it, and nothing was written. */
  async finish(end: Claim & { readonly outcome: Outcome; readonly flush?: Flush }): Promise<boolean> {
    const { environmentId, executionId, owner, epoch, outcome, flush } = end;
    const { numUpdatedRows } = await this.#db
      .with("released", (query) =>
        query
          .deleteFrom("execution_claim")
          .where("execution_id", "=", executionId)
          .where("environment_id", "=", environmentId)
          .where("owner", "=", owner)
          .where("epoch", "=", epoch)
          .returning(["execution_id", "environment_id"]),
      )
      .with("flushed", (query) =>
        query
          .insertInto("journal")
          .columns(journalColumns)
          .expression((from) =>
            from
              .selectFrom("released")
              .select(["released.execution_id", "released.environment_id"])
              .select(flushValues({ epoch, flush: flush ?? { index: 0, runs: [] } }))
              .where(sql<boolean>`${flush !== undefined}`),
          )
          .onConflict((conflict) => conflict.columns(["execution_id", "flush_index"]).doNothing()),
      )
      .updateTable("execution")
      .from("released")
      .set({ ...toOutcomeRow(outcome), finished_epoch: epoch, end_time: sql`now()` })
      .where("execution.id", "=", executionId)
      .where("execution.environment_id", "=", environmentId)
      .where("execution.state", "is", null)
      .whereRef("execution.id", "=", "released.execution_id")
      .executeTakeFirst();
    return numUpdatedRows > 0n || (await this.#hasFinished(end));
  }

  /**
   * Ends an execution from outside, queued or running, whoever runs it: its owner's later writes change nothing. False:
   * it has ended before, or it is not found.
   */
  async stop(stop: Stop): Promise<boolean> {
    return await stopExecution(this.#db, stop);
  }

  /** Ends executions that have run, or are, too long, whoever has them; answers those that it ended, with their outcome. */
  async expire(limits: ExpireLimits): Promise<ReadonlyMap<string, Outcome>> {
    return await expireExecutions(this.#db, limits);
  }

  /**
   * Deletes executions that ended longer ago than that, with all that is kept of them, at most `limit`; answers how
   * many. Their idempotency keys have run out by then.
   */
  async deleteEnded(retention: Retention): Promise<number> {
    return await deleteEnded(this.#db, retention);
  }

  /**
   * Takes executions over, each in a new epoch, at most `limit`: those whose owner has no live lease, then those that
   * are queued and due; the oldest first. Two callers never get the same one, and an owner not its own.
   */
  async claim(claimer: Claimer): Promise<readonly ClaimedExecution[]> {
    return await claimExecutions(this.#db, claimer);
  }

  /** Lets an execution wait, owned by nobody, for a time. False: another has taken it over, and nothing was written. */
  async suspend({ environmentId, executionId, owner, epoch, ms }: Claim & { readonly ms: number }): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable("execution_claim")
      .set({ ...freed, due_time: sql`now() + make_interval(secs => ${ms / 1000})` })
      .where("execution_id", "=", executionId)
      .where("environment_id", "=", environmentId)
      .where("owner", "=", owner)
      .where("epoch", "=", epoch)
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  }

  /** Puts the executions of an owner that stops back into the queue; answers how many. */
  async release({ owner }: { readonly owner: string }): Promise<number> {
    const { numUpdatedRows } = await this.#db
      .updateTable("execution_claim")
      .set(freed)
      .where("owner", "=", owner)
      .executeTakeFirstOrThrow();
    return Number(numUpdatedRows);
  }

  /** The executions that an owner has, as ids. */
  async listOwned(owner: string): Promise<readonly string[]> {
    const rows = await this.#db
      .selectFrom("execution_claim")
      .select("execution_id")
      .where("owner", "=", owner)
      .execute();
    return rows.map(({ execution_id }) => execution_id);
  }

  /** Puts some executions of an owner, which it does not run, back into the queue; answers how many. */
  async releaseStrays({ owner, ids }: { readonly owner: string; readonly ids: readonly string[] }): Promise<number> {
    const { numUpdatedRows } = await this.#db
      .updateTable("execution_claim")
      .set(freed)
      .where("owner", "=", owner)
      .where("execution_id", "=", sql<string>`any(${ids}::text[])`)
      .executeTakeFirstOrThrow();
    return Number(numUpdatedRows);
  }

  /**
   * How many executions of all environments wait for somebody to run them, counted up to `max`, and in how many
   * milliseconds the next one is due that waits for a time.
   */
  async getQueue(max: number): Promise<Queue> {
    return await readQueue(this.#db, max);
  }

  /** How the executions among these stand that have ended. The ids are trusted: callers were found to own them. */
  async listEnded(ids: readonly string[]): Promise<ReadonlyMap<string, Outcome>> {
    const rows = await this.#db
      .selectFrom("execution")
      .select(["id", "state", "response", "status_code", "error"])
      .where("id", "=", sql<string>`any(${ids}::text[])`)
      .where("state", "is not", null)
      .execute();
    return new Map(
      rows.flatMap(({ id, state, ...row }) => (state === null ? [] : [[id, { state, ...toAnswer(row) }]])),
    );
  }

  /** How an execution of this account stands; that of another account or environment is not found. */
  async getResult(query: {
    readonly environmentId: string;
    readonly linkedAccountId: string;
    readonly executionId: string;
  }): Promise<ExecutionRecord | undefined> {
    if (!isId(query.executionId)) {
      return undefined;
    }
    const row = await this.#db
      .selectFrom("execution")
      .select(["state", "response", "status_code", "error", claimState])
      .where("execution.id", "=", query.executionId.toLowerCase())
      .where("execution.environment_id", "=", query.environmentId)
      .where("execution.linked_account_id", "=", query.linkedAccountId)
      .executeTakeFirst();
    return (
      row && {
        state: row.state ?? row.claim_state,
        ...toAnswer(row),
      }
    );
  }

  async #hasAppended(entry: Claim & { readonly flushIndex: number }): Promise<boolean> {
    const row = await this.#db
      .selectFrom("journal")
      .select("epoch")
      .where("execution_id", "=", entry.executionId)
      .where("environment_id", "=", entry.environmentId)
      .where("flush_index", "=", entry.flushIndex)
      .executeTakeFirst();
    return row?.epoch === entry.epoch;
  }

  async #hasFinished({ environmentId, executionId, epoch }: Claim): Promise<boolean> {
    const row = await this.#db
      .selectFrom("execution")
      .select("finished_epoch")
      .where("id", "=", executionId)
      .where("environment_id", "=", environmentId)
      .executeTakeFirst();
    return row?.finished_epoch === epoch;
  }
}

const freed = { owner: null, run_ms: ranMs, run_since: null };

const journalColumns = ["execution_id", "environment_id", "flush_index", "epoch", "entries"] as const;

function flushValues({ epoch, flush }: { readonly epoch: number; readonly flush: Flush }) {
  return [
    sql<number>`${flush.index}::int`.as("flush_index"),
    sql<number>`${epoch}::int`.as("epoch"),
    sql<string>`${JSON.stringify(flush.runs)}::text`.as("entries"),
  ] as const;
}
