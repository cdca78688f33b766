import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { PutSchedule } from "../../authoring/schedules.ts";
import { parseJson } from "../../domain/json/json-parse.ts";
import type { Overlap, ScheduleRecord } from "../../domain/schedules/schedule.ts";
import { type PutScheduleRequest, Schedule_Overlap, ScheduleSchema } from "../../gen/flowcall/v1/schedule_pb.ts";
import { etagOf, expectedOf } from "../chain/revision-etag.ts";
import { wordOf } from "../executions/execution-message.ts";

const overlaps: Readonly<Record<Overlap, Schedule_Overlap>> = {
  SKIP: Schedule_Overlap.SKIP,
  QUEUE_ONE: Schedule_Overlap.QUEUE_ONE,
  ALLOW: Schedule_Overlap.ALLOW,
};

const catchUpSecondsDefault = 60;

/** What a request asks a schedule to be. */
export function settingsOf(request: PutScheduleRequest): PutSchedule {
  const { workflow, slug, linkedAccountId, configId, tag, cron, startTime, endTime, pauseAfterFailures } = request;
  const { scheduleId: id, timeZone = "UTC", catchUpSeconds = catchUpSecondsDefault } = request;
  const { payload = {}, jitterSeconds = 0, isPaused = false } = request;
  return {
    ...{ id, linkedAccountId, timeZone, payload, catchUpSeconds, jitterSeconds, isPaused },
    reference: { workflow, ...(slug !== undefined && { slug }) },
    times: request.times.map(timestampDate).toSorted((a, b) => a.getTime() - b.getTime()),
    overlap: wordOf(overlaps, request.overlap) ?? "SKIP",
    ...(configId !== undefined && { configId }),
    ...(tag !== undefined && { tag }),
    ...(cron !== undefined && { cron }),
    ...(startTime !== undefined && { startTime: timestampDate(startTime) }),
    ...(endTime !== undefined && { endTime: timestampDate(endTime) }),
    ...(pauseAfterFailures !== undefined && { pauseAfterFailures }),
    ...expectedOf(request),
  };
}

/** A schedule as callers see it; lists leave the payload out. */
export function scheduleMessage(record: ScheduleRecord, { hasPayload = true } = {}) {
  const { id, workflowId, linkedAccountId, configId, tag, cron, timeZone, times, payload, startTime, endTime } = record;
  const { overlap, catchUpSeconds, jitterSeconds, isPaused, pauseAfterFailures, nextTime, lastTime } = record;
  const { lastExecutionId, lastError, started, skipped, missed, failures, revision, createTime, updateTime } = record;
  // It was checked to be an object when it was put.
  const body = hasPayload ? { payload: Object(parseJson(payload)) } : {};
  return create(ScheduleSchema, {
    ...{ id, workflowId, linkedAccountId, timeZone, catchUpSeconds, jitterSeconds, isPaused, failures },
    ...body,
    times: times.map(timestampFromDate),
    overlap: overlaps[overlap],
    started: BigInt(started),
    skipped: BigInt(skipped),
    missed: BigInt(missed),
    etag: etagOf(revision),
    createTime: timestampFromDate(createTime),
    updateTime: timestampFromDate(updateTime),
    ...(configId !== undefined && { configId }),
    ...(tag !== undefined && { tag }),
    ...(cron !== undefined && { cron }),
    ...(startTime && { startTime: timestampFromDate(startTime) }),
    ...(endTime && { endTime: timestampFromDate(endTime) }),
    ...(pauseAfterFailures !== undefined && { pauseAfterFailures }),
    ...(nextTime && { nextTime: timestampFromDate(nextTime) }),
    ...(lastTime && { lastTime: timestampFromDate(lastTime) }),
    ...(lastExecutionId !== undefined && { lastExecutionId }),
    ...(lastError && { lastError: { ...lastError, time: timestampFromDate(lastError.time) } }),
  });
}
