import { type Kysely, type RawBuilder, sql, type Transaction } from "kysely";
import type { TerminalState } from "../../domain/execution.ts";
import { type Advance, advance, type Facts, type FireResult, settle } from "../../domain/schedules/advance-schedule.ts";
import type { ScheduleRecord } from "../../domain/schedules/schedule.ts";
import type { Tables } from "../postgres/tables.ts";
import { toRecord } from "./schedule-rows.ts";
import { type OwnedSchedule, progressColumns } from "./schedule-store.ts";

/** What became of the schedules that were due: those with an execution to start, and how many were looked at. */
export type Advanced = { readonly fires: readonly OwnedSchedule[]; readonly count: number };

type DueRow = {
  readonly environment_id: string;
  readonly organization_id: string;
  readonly id: string;
  readonly workflow_id: string;
  readonly linked_account_id: string;
  readonly settings: string;
  readonly payload: string;
  readonly progress: string;
  readonly revision: number;
  readonly create_time: Date;
  readonly update_time: Date;
  readonly now: Date;
  readonly has_last: boolean;
  readonly last_state: TerminalState | null;
  readonly is_accepted: boolean;
};

/**
 * Drives schedules. A start is decided, with the execution's id, in the transaction that sets the next time; whoever then
 * accepts an execution of that id accepts it once. So each time starts one execution, whichever process ends in between.
 */
export class DueSchedules {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Advances schedules that are due, the longest due first, and leaves those that another process is advancing. */
  async advance(limit: number): Promise<Advanced> {
    return await this.#db.transaction().execute(async (transaction) => {
      const condition = sql<boolean>`schedule.due_time <= now() order by schedule.due_time limit ${limit}`;
      const rows = await selectLocked(transaction, condition, "skip locked");
      const advanced = rows.map((row) => ({ row, next: advance(toRecord(row), factsOf(row)) }));
      await writeAll(transaction, advanced);
      const fires = advanced.flatMap(({ row, next }) =>
        next.progress.fire === undefined ? [] : [{ ...toOwned(row), ...next.progress }],
      );
      return { fires, count: rows.length };
    });
  }

  /** Records how starts went. One that was settled meanwhile, or whose schedule is gone, is left alone. */
  async settle(results: readonly FireResult[]): Promise<void> {
    const byId = new Map(results.map((result) => [result.executionId, result]));
    await this.#db.transaction().execute(async (transaction) => {
      const condition = sql<boolean>`schedule.fire_id = any(${[...byId.keys()]}::text[])
        order by schedule.environment_id, schedule.id`;
      const rows = await selectLocked(transaction, condition);
      const settled = rows.flatMap((row) => {
        const record = toRecord(row);
        const result = byId.get(record.fire?.executionId ?? "");
        return result === undefined ? [] : [{ row, next: settle(record, result, row.now) }];
      });
      await writeAll(transaction, settled);
    });
  }

  /** Milliseconds until the next schedule is due, by the database's clock; undefined where none will be. */
  async dueInMs(): Promise<number | undefined> {
    const { rows } = await sql<{ ms: number | null }>`
      select (extract(epoch from min(due_time) - now()) * 1000)::float8 as ms from schedule where due_time is not null`.execute(
      this.#db,
    );
    return rows[0]?.ms ?? undefined;
  }
}

async function selectLocked(
  transaction: Transaction<Tables>,
  condition: RawBuilder<boolean>,
  wait: "" | "skip locked" = "",
): Promise<readonly DueRow[]> {
  const { rows } = await sql<DueRow>`
    select schedule.*, environment.organization_id, now()::timestamptz(3) as now, last.id is not null as has_last,
           last.state as last_state, started.id is not null as is_accepted
      from schedule join environment on environment.id = schedule.environment_id
      left join execution as last on last.id = schedule.last_execution_id
      left join execution as started on started.id = schedule.fire_id
     where ${condition} for no key update of schedule ${sql.raw(wait)}`.execute(transaction);
  return rows;
}

type Written = { readonly row: DueRow; readonly next: Advance };

async function writeAll(transaction: Transaction<Tables>, all: readonly Written[]): Promise<void> {
  if (all.length === 0) {
    return;
  }
  const rows = all.map(({ row, next }) => ({
    environment_id: row.environment_id,
    id: row.id,
    ...progressColumns(next),
  }));
  await sql`
    update schedule set progress = given.progress, due_time = given.due_time, fire_id = given.fire_id,
           last_execution_id = given.last_execution_id
      from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as given
        (environment_id text, id text, progress text, due_time timestamptz, fire_id text, last_execution_id text)
     where schedule.environment_id = given.environment_id and schedule.id = given.id`.execute(transaction);
}

function factsOf({ now, has_last, last_state, is_accepted }: DueRow): Facts {
  const end = last_state === null ? "UNFINISHED" : last_state === "COMPLETED" ? "COMPLETED" : "FAILED";
  return { now, lastEnd: has_last ? end : "NONE", isAccepted: is_accepted };
}

function toOwned(row: DueRow): OwnedSchedule {
  const record: ScheduleRecord = toRecord(row);
  return { ...record, environmentId: row.environment_id, organizationId: row.organization_id };
}
