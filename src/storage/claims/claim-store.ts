import { type Kysely, sql } from "kysely";
import {
  type Claim,
  dueFirst,
  isQuarantined,
  lossesUpToQuarantine,
  lossLife,
  ranMs,
} from "../executions/execution-claim.ts";
import { clockToleranceMs } from "../postgres/database-clock.ts";
import type { Tables } from "../postgres/tables.ts";
import { type ClaimedExecution, type Claimer, claimExecutions } from "./claim-executions.ts";

/** Bound of the exponential backoff, on average. */
const backOffMaxMs = 8_000;

export type Suspension = Claim & {
  readonly ms: number;
  /** When the sleep ends, in milliseconds since 1970, by the clock of the process that goes to sleep. */
  readonly wakeTime: number;
  /** The names of the signals that it waits for too: see `SignalStore`. */
  readonly awaits?: readonly string[];
};

/** A step of the database's clock (somebody set it) by this many milliseconds, and the owner that noticed it. */
export type ClockStep = { readonly ms: number; readonly owner: string };

/**
 * The owner of each unfinished execution, and the time from which the next process may claim it. An owner gives an execution back in one
 * of five ways: it suspends it (a Delay), defers it (no room here), backs off (it failed), releases it (shutdown), or
 * releases it as an orphan. Each statement names the owner that it takes the execution from.
 */
export class ClaimStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async claim(claimer: Claimer): Promise<readonly ClaimedExecution[]> {
    return await claimExecutions(this.#db, claimer);
  }

  /**
   * Lets an execution sleep. False: another process has claimed it. Losses are forgotten where the sleep outlasts the time
   * for which they count. Where a signal that it waits for has been set, it sleeps no longer than until it is claimed.
   */
  async suspend({ awaits = [], ...suspension }: Suspension): Promise<boolean> {
    if (awaits.length === 0) {
      return await this.#suspend(this.#db, suspension);
    }
    return await this.#db.transaction().execute(async (db) => {
      // A statement of its own: the next one sees the signals of all who held this lock before.
      await db
        .selectFrom("execution_claim")
        .select("epoch")
        .where("execution_id", "=", suspension.executionId)
        .where("environment_id", "=", suspension.environmentId)
        .forNoKeyUpdate()
        .execute();
      const signal = await db
        .selectFrom("signal")
        .select("name")
        .where("execution_id", "=", suspension.executionId)
        .where("environment_id", "=", suspension.environmentId)
        .where("name", "=", sql<string>`any(${awaits}::text[])`)
        .limit(1)
        .executeTakeFirst();
      return await this.#suspend(db, signal === undefined ? suspension : { ...suspension, ms: 0, wakeTime: undefined });
    });
  }

  async #suspend(
    db: Kysely<Tables>,
    {
      ms,
      wakeTime,
      ...claim
    }: Claim & Pick<Suspension, "ms"> & { readonly wakeTime: Suspension["wakeTime"] | undefined },
  ): Promise<boolean> {
    const { numUpdatedRows } = await this.#owned(claim, db)
      .set({
        ...freed,
        // A loss in the future was counted before the clock was set back, so that nobody knows its age.
        losses: sql`case when loss_time > now() + make_interval(secs => ${ms / 1000}) - ${lossLife}
          and loss_time < now() + interval '1 second' then losses else 0 end`,
        due_time: sql`now() + make_interval(secs => ${ms / 1000})`,
        due_set_time: sql`now()`,
        wake_time: wakeTime === undefined ? null : new Date(wakeTime),
      })
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  }

  /** Gives an execution back for a while without counting a loss. False: another process has claimed it. */
  async defer({ ms, ...claim }: Claim & { readonly ms: number }): Promise<boolean> {
    const { numUpdatedRows } = await this.#owned(claim)
      .set({ ...freed, due_time: sql`now() + make_interval(secs => ${ms / 1000})`, due_set_time: sql`now()` })
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  }

  /** Gives back an execution that its owner could not run, with exponential backoff and jitter, and counts a loss. */
  async backOff(claim: Claim): Promise<void> {
    const ms = sql`least(500 * 2 ^ losses, ${backOffMaxMs}) * (0.5 + random())`;
    await this.#owned(claim)
      .set({
        ...freed,
        losses: sql`losses + 1`,
        loss_time: sql`now()`,
        due_time: sql`now() + ${ms} * interval '1 millisecond'`,
        due_set_time: sql`now()`,
      })
      .execute();
  }

  /** Puts all executions of an owner that shuts down back into the queue; answers how many. A shutdown is no loss. */
  async release({ owner }: { readonly owner: string }): Promise<number> {
    const { numUpdatedRows } = await this.#db
      .updateTable("execution_claim")
      .set({ ...freed, losses: 0 })
      .where("owner", "=", owner)
      .executeTakeFirstOrThrow();
    return Number(numUpdatedRows);
  }

  /** The ids of the executions that an owner has. */
  async listOwned(owner: string): Promise<readonly string[]> {
    const rows = await this.#db
      .selectFrom("execution_claim")
      .select("execution_id")
      .where("owner", "=", owner)
      .execute();
    return rows.map(({ execution_id }) => execution_id);
  }

  /**
   * Puts orphaned claims back into the queue: executions that this owner has and does not run, since the answer to a claim
   * was lost. Answers how many. An execution whose claim gets lost every time ends up in quarantine, where it is claimed
   * alone; it is never ended for that.
   */
  async releaseOrphans({ owner, ids }: { readonly owner: string; readonly ids: readonly string[] }): Promise<number> {
    const { numUpdatedRows } = await this.#db
      .updateTable("execution_claim")
      .set({ ...freed, losses: lossesUpToQuarantine, loss_time: sql`now()` })
      .where("owner", "=", owner)
      .where("execution_id", "=", sql<string>`any(${ids}::text[])`)
      .executeTakeFirstOrThrow();
    return Number(numUpdatedRows);
  }

  /** Takes the execution that an owner ran in quarantine out of it: it did no harm. */
  async clearQuarantine(owner: string): Promise<void> {
    await this.#db
      .updateTable("execution_claim")
      .set({ losses: 0, trials: sql`trials + 1` })
      .where(isQuarantined)
      .where("owner", "=", owner)
      .execute();
  }

  /**
   * Corrects what a step of the database's clock made wrong: how long the owner's executions have run, and, after a step
   * back, when sleeping executions are due. Answers how many sleepers it moved.
   *
   * A step forward makes sleepers due early, and nothing corrects that: to a process that stood still, the database's clock
   * seems to jump as well. After a step back the time at which a sleeper went to sleep lies in the future, which shows how
   * much earlier it is due.
   */
  async correctForClockStep({ ms, owner }: ClockStep): Promise<number> {
    await sql`update execution_claim set run_since = run_since + ${ms}::float8 * interval '1 millisecond'
      where owner = ${owner}`.execute(this.#db);
    const { rows } = await sql<{ execution_id: string }>`
      with ahead as materialized (
        select execution_id, greatest(due_set_time - now(), ${Math.max(0, -ms)}::float8 * interval '1 millisecond') as by
          from execution_claim
         where owner is null and due_time > now()
           and due_set_time > now() + ${sql.lit(clockToleranceMs)} * interval '1 millisecond'
           for update skip locked
      )
      update execution_claim as claim set due_time = due_time - ahead.by, due_set_time = due_set_time - ahead.by
        from ahead where claim.execution_id = ahead.execution_id
      returning claim.execution_id`.execute(this.#db);
    return rows.length;
  }

  #owned({ environmentId, executionId, owner, epoch }: Claim, db = this.#db) {
    return db
      .updateTable("execution_claim")
      .where("execution_id", "=", executionId)
      .where("environment_id", "=", environmentId)
      .where("owner", "=", owner)
      .where("epoch", "=", epoch);
  }
}

const freed = { owner: null, run_ms: ranMs, run_since: null, due_time: dueFirst };
