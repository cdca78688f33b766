import type { Selectable } from "kysely";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { ScheduleProgress, ScheduleRecord, ScheduleSettings } from "../../domain/schedules/schedule.ts";
import type { Tables } from "../postgres/tables.ts";

type ScheduleRow = Selectable<Tables["schedule"]>;

/** The columns of a schedule without its payload, which lists do not show. */
export const listedColumns = [
  "id",
  "workflow_id",
  "linked_account_id",
  "settings",
  "progress",
  "revision",
  "create_time",
  "update_time",
] as const;

type Listed = Pick<ScheduleRow, (typeof listedColumns)[number]>;

/** What is kept as JSON text, with its times as ISO 8601. */
type StoredSettings = Omit<ScheduleSettings, "id" | "workflowId" | "linkedAccountId" | "payload">;

export function toRecord(row: Listed & { readonly payload?: string }): ScheduleRecord {
  const { id, workflow_id, linked_account_id, payload = "{}", revision, create_time, update_time } = row;
  return {
    // `toSettingsText` and `toProgressText` wrote them.
    ...(JSON.parse(row.settings, reviveTime) as StoredSettings),
    ...(JSON.parse(row.progress, reviveTime) as ScheduleProgress),
    ...{ id, workflowId: workflow_id, linkedAccountId: linked_account_id },
    payload: payload as JsonText,
    ...{ revision, createTime: create_time, updateTime: update_time },
  };
}

export function toSettingsText(settings: ScheduleSettings): string {
  const { configId, tag, cron, timeZone, times, startTime, endTime, overlap, catchUpSeconds, jitterSeconds } = settings;
  const { isPaused, pauseAfterFailures } = settings;
  const stored: StoredSettings = {
    ...{ timeZone, times, overlap, catchUpSeconds, jitterSeconds, isPaused },
    ...(configId !== undefined && { configId }),
    ...(tag !== undefined && { tag }),
    ...(cron !== undefined && { cron }),
    ...(startTime && { startTime }),
    ...(endTime && { endTime }),
    ...(pauseAfterFailures !== undefined && { pauseAfterFailures }),
  };
  return JSON.stringify(stored);
}

export function toProgressText(progress: ScheduleProgress): string {
  return JSON.stringify(progress);
}

/** Members that hold a time are called so. */
function reviveTime(name: string, value: unknown): unknown {
  if (name === "times" && Array.isArray(value)) {
    return value.map((time) => new Date(String(time)));
  }
  return /^(time|[a-z]+Time)$/.test(name) && typeof value === "string" ? new Date(value) : value;
}
