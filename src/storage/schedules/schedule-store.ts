import { type Kysely, sql, type Transaction } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import { etagMismatch } from "../../domain/http/etag-mismatch.ts";
import type { AccessScope } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import { type Advance, restart } from "../../domain/schedules/advance-schedule.ts";
import type { ScheduleProgress, ScheduleRecord, ScheduleSettings } from "../../domain/schedules/schedule.ts";
import { isWithin } from "../postgres/access-scope.ts";
import { brokenConstraint } from "../postgres/database-errors.ts";
import { cutPage, type Page } from "../postgres/page.ts";
import { nameTokenOf, parseNameToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";
import { recordChange } from "../tenants/record-change.ts";
import { invalidAccount } from "../tenants/tenant-store.ts";
import { listedColumns, toProgressText, toRecord, toSettingsText } from "./schedule-rows.ts";

export type NewSchedule = ScheduleSettings & {
  /** Optimistic locking: one of these revisions alone is replaced. Of an empty list nothing may be there yet. */
  readonly expectedRevisions?: readonly number[];
};

export type ScheduleFilter = AccessScope & { readonly workflowId?: string; readonly linkedAccountId?: string };

/** A schedule with its environment and organisation. */
export type OwnedSchedule = ScheduleRecord & { readonly environmentId: string; readonly organizationId: string };

const nothingYet: ScheduleProgress = {
  ...{ started: 0, skipped: 0, missed: 0, failures: 0 },
  isJudged: true,
  isPaused: false,
};

/** Schedules, as callers see and set them. `due-schedules.ts` drives them. */
export class ScheduleStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /**
   * Creates a schedule or replaces its settings; at most `schedulesMax` may be in an environment. Throws ETAG_MISMATCH,
   * INVALID_LINKED_ACCOUNT_ID and SCHEDULES_FULL.
   */
  async put(
    actor: Actor,
    { expectedRevisions, ...settings }: NewSchedule,
    schedulesMax: number,
  ): Promise<ScheduleRecord> {
    try {
      return await this.#db.transaction().execute(async (transaction) => {
        await requireAccount(transaction, actor, settings.linkedAccountId);
        const found = await lock(transaction, actor, settings.id);
        const isExpected =
          expectedRevisions === undefined ||
          (found === undefined ? expectedRevisions.length === 0 : expectedRevisions.includes(found.revision));
        if (!isExpected) {
          throw etagMismatch({ resource: resourceOf(settings.id) });
        }
        if (found === undefined) {
          await requirePlace(transaction, actor, schedulesMax);
        }
        await recordChange(transaction, actor, {
          action: found === undefined ? "CREATE" : "UPDATE",
          resource: resourceOf(settings.id),
        });
        return await write(transaction, actor, { settings, progress: found ?? nothingYet });
      });
    } catch (error) {
      throw brokenConstraint(error) === "schedule_pkey" ? etagMismatch({ resource: resourceOf(settings.id) }) : error;
    }
  }

  /** Pauses a schedule, or lets it go on. Throws RESOURCE_NOT_FOUND. */
  async setPaused(actor: Actor, id: string, isPaused: boolean): Promise<ScheduleRecord> {
    return await this.#db.transaction().execute(async (transaction) => {
      const found = await lock(transaction, actor, id);
      if (found === undefined) {
        throw notFound(id);
      }
      if (found.isPaused === isPaused) {
        return found;
      }
      await recordChange(transaction, actor, { action: "UPDATE", resource: resourceOf(id) });
      return await write(transaction, actor, { settings: { ...found, isPaused }, progress: found });
    });
  }

  /** Throws RESOURCE_NOT_FOUND. */
  async get(access: AccessScope, id: string): Promise<ScheduleRecord> {
    const row = await this.#select(access).select("payload").where("id", "=", id).executeTakeFirst();
    if (row === undefined) {
      throw notFound(id);
    }
    return toRecord(row);
  }

  /** Lists schedules by id, without payloads. Throws VALIDATION_ERROR for a bad page token. */
  async list(
    { workflowId, linkedAccountId, ...access }: ScheduleFilter,
    asked: Page,
  ): Promise<{ readonly schedules: readonly ScheduleRecord[]; readonly nextPageToken?: string }> {
    const filters = { of: "schedule", environmentId: access.environmentId, workflowId, linkedAccountId };
    const rows = await this.#select(access)
      .where("id", ">", asked.pageToken === undefined ? "" : parseNameToken(asked.pageToken, filters))
      .$if(workflowId !== undefined, (query) => query.where("workflow_id", "=", workflowId ?? ""))
      .$if(linkedAccountId !== undefined, (query) => query.where("linked_account_id", "=", linkedAccountId ?? ""))
      .orderBy("id")
      .limit(asked.pageSize + 1)
      .execute();
    const { page, next } = cutPage(rows, asked, (last) => nameTokenOf(last.id, filters));
    return { schedules: page.map(toRecord), ...next };
  }

  /** Throws RESOURCE_NOT_FOUND. */
  async delete(actor: Actor, id: string): Promise<void> {
    await this.#db.transaction().execute(async (transaction) => {
      const { numDeletedRows } = await transaction
        .deleteFrom("schedule")
        .where("environment_id", "=", actor.environmentId)
        .where("id", "=", id)
        .executeTakeFirst();
      if (numDeletedRows === 0n) {
        throw notFound(id);
      }
      await recordChange(transaction, actor, { action: "DELETE", resource: resourceOf(id) });
    });
  }

  #select(access: AccessScope) {
    return this.#db
      .selectFrom("schedule")
      .select(listedColumns)
      .where("environment_id", "=", access.environmentId)
      .where(isWithin(access, { workflow: "workflow_id", account: "linked_account_id" }));
  }
}

/** The columns in which the progress of a schedule is kept. */
export function progressColumns({ progress, dueTime }: Advance) {
  return {
    progress: toProgressText(progress),
    due_time: dueTime ?? null,
    fire_id: progress.fire?.executionId ?? null,
    last_execution_id: progress.lastExecutionId ?? null,
  };
}

type Content = { readonly settings: ScheduleSettings; readonly progress: ScheduleProgress };

/** Writes a schedule whose next time is one after now. */
async function write(
  transaction: Transaction<Tables>,
  { environmentId }: Actor,
  { settings, progress }: Content,
): Promise<ScheduleRecord> {
  const { rows } = await sql<{ now: Date }>`select now()::timestamptz(3) as now`.execute(transaction);
  const columns = {
    workflow_id: settings.workflowId,
    linked_account_id: settings.linkedAccountId,
    settings: toSettingsText(settings),
    payload: settings.payload,
    ...progressColumns(restart(settings, progress, rows[0]?.now ?? new Date())),
  };
  const row = await transaction
    .insertInto("schedule")
    .values({ environment_id: environmentId, id: settings.id, ...columns })
    .onConflict((conflict) =>
      conflict.columns(["environment_id", "id"]).doUpdateSet({
        ...columns,
        revision: sql<number>`schedule.revision + 1`,
        update_time: sql<Date>`now()`,
      }),
    )
    .returning([...listedColumns, "payload"])
    .executeTakeFirstOrThrow();
  return toRecord(row);
}

async function lock(transaction: Transaction<Tables>, actor: Actor, id: string): Promise<ScheduleRecord | undefined> {
  const row = await transaction
    .selectFrom("schedule")
    .select([...listedColumns, "payload"])
    .where("environment_id", "=", actor.environmentId)
    .where("id", "=", id)
    .forUpdate()
    .executeTakeFirst();
  return row && toRecord(row);
}

/** The account is locked until the end of the transaction: nothing is set for it while it is deleted. */
async function requireAccount(transaction: Transaction<Tables>, { environmentId }: Actor, accountId: string) {
  const account = await transaction
    .selectFrom("linked_account")
    .select("account_id")
    .where("environment_id", "=", environmentId)
    .where("account_id", "=", accountId)
    .where("delete_time", "is", null)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (account === undefined) {
    throw invalidAccount(accountId);
  }
}

async function requirePlace(transaction: Transaction<Tables>, { environmentId }: Actor, max: number): Promise<void> {
  const { count } = await transaction
    .selectFrom("schedule")
    .select(({ fn }) => fn.countAll<string>().as("count"))
    .where("environment_id", "=", environmentId)
    .executeTakeFirstOrThrow();
  if (Number(count) >= max) {
    throw new RequestError(
      "SCHEDULES_FULL",
      `The environment has ${count} schedules of at most ${max}. Delete some, or raise FLOWCALL_SCHEDULES_MAX.`,
      { metadata: { limit: "schedules", value: String(max) } },
    );
  }
}

function resourceOf(id: string): string {
  return `schedule/${id}`;
}

function notFound(id: string): RequestError {
  return new RequestError("RESOURCE_NOT_FOUND", `The environment has no schedule "${id}".`, {
    metadata: { schedule_id: id },
  });
}
