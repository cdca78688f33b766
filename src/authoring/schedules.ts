import type { JsonObject } from "@bufbuild/protobuf";
import { jsonTextOf } from "../domain/json/json-parse.ts";
import { fieldsRefused } from "../domain/json/violations.ts";
import type { Limits } from "../domain/limits.ts";
import type { Principal } from "../domain/principal.ts";
import type { FieldViolation } from "../domain/request-error.ts";
import type { ScheduleRecord, ScheduleSettings } from "../domain/schedules/schedule.ts";
import { Timetable } from "../domain/schedules/timetable.ts";
import type { WorkflowReference } from "../domain/workflow.ts";
import type { ScheduleStore } from "../storage/schedules/schedule-store.ts";
import type { WorkflowStore } from "../storage/workflows/workflow-store.ts";

export type SchedulesOptions = {
  readonly schedules: ScheduleStore;
  readonly workflows: WorkflowStore;
  /** Tells all processes that a schedule has changed. */
  readonly onChange: () => void;
  readonly limits: Limits;
};

/** What a schedule is to be; its workflow by id or alias. */
export type PutSchedule = Omit<ScheduleSettings, "workflowId" | "payload"> & {
  readonly reference: WorkflowReference;
  readonly payload: JsonObject;
  readonly expectedRevisions?: readonly number[];
};

/** The shortest distance between two times. Cron expressions have none that is shorter. */
const distanceMs = 60_000;

/** Sets the times at which workflows run without a call. */
export class Schedules {
  readonly #options: SchedulesOptions;

  constructor(options: SchedulesOptions) {
    this.#options = options;
  }

  /** Refuses with VALIDATION_ERROR, and all that is wrong, times that can never come; else as the stores do. */
  async put(principal: Principal, { reference, payload, ...settings }: PutSchedule): Promise<ScheduleRecord> {
    const { schedules, workflows, onChange, limits } = this.#options;
    const text = jsonTextOf(payload, { name: "payload", limits: limits.payload, root: "object" });
    const violations = violationsOf(settings);
    if (violations.length > 0) {
      throw fieldsRefused(violations);
    }
    const { id: workflowId } = await workflows.find(principal, reference);
    const record = await schedules.put(principal, { ...settings, workflowId, payload: text }, limits.schedulesMax);
    onChange();
    return record;
  }

  /** Pauses a schedule, or lets it go on. Throws RESOURCE_NOT_FOUND. */
  async setPaused(principal: Principal, id: string, isPaused: boolean): Promise<ScheduleRecord> {
    const record = await this.#options.schedules.setPaused(principal, id, isPaused);
    this.#options.onChange();
    return record;
  }
}

type Timed = Pick<ScheduleSettings, "cron" | "timeZone" | "times" | "startTime" | "endTime">;

function violationsOf(settings: Timed): FieldViolation[] {
  const { cron, timeZone, times, startTime, endTime } = settings;
  const violations: FieldViolation[] = [];
  if ((cron === undefined) === (times.length === 0)) {
    violations.push({ field: "cron", description: "must be given, or else times, and not both" });
  }
  if (startTime !== undefined && endTime !== undefined && endTime <= startTime) {
    violations.push({ field: "end_time", description: "must be after start_time" });
  }
  if (!isTimeZone(timeZone)) {
    violations.push({ field: "time_zone", description: `is no time zone of the IANA database: "${timeZone}"` });
  } else if (cron !== undefined) {
    violations.push(...violationsOfCron(settings));
  }
  for (const [index, time] of times.entries()) {
    const before = times[index - 1];
    if (before !== undefined && time.getTime() - before.getTime() < distanceMs) {
      violations.push({ field: `times[${index}]`, description: "must be a minute or more after the time before it" });
    }
  }
  return violations;
}

function violationsOfCron(settings: Timed): readonly FieldViolation[] {
  const field = "cron";
  try {
    const { startTime: _, endTime: __, ...unbounded } = settings;
    const next = new Timetable(unbounded).next(new Date());
    return next === undefined ? [{ field, description: "names a time that never comes" }] : [];
  } catch (error) {
    const cause = error instanceof Error ? error.message.replace(/^CronPattern: |\.$/g, "") : String(error);
    return [{ field, description: `is not a cron expression of five fields: ${cause}` }];
  }
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}
