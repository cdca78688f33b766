import { describe, expect, test } from "vitest";
import type { JsonText } from "../../../src/domain/json/json-text.ts";
import { type Advance, advance, type Facts, restart, settle } from "../../../src/domain/schedules/advance-schedule.ts";
import type { ScheduleProgress, ScheduleSettings } from "../../../src/domain/schedules/schedule.ts";

const at = (time: string) => new Date(`2026-01-01T${time}Z`);

const hourly: ScheduleSettings = {
  ...{ id: "hourly", workflowId: "w", linkedAccountId: "a", payload: "{}" as JsonText },
  ...{ cron: "0 * * * *", timeZone: "UTC", times: [], overlap: "SKIP", catchUpSeconds: 60, jitterSeconds: 0 },
  isPaused: false,
};

const fresh: ScheduleProgress = {
  ...{ nextTime: at("01:00:00"), started: 0, skipped: 0, missed: 0, failures: 0 },
  ...{ isJudged: true, isPaused: false },
};

function advanced(
  progress: Partial<ScheduleProgress>,
  facts: Partial<Facts> & { readonly now: Date },
  settings: Partial<ScheduleSettings> = {},
): Advance {
  const schedule = { ...hourly, ...settings, ...fresh, ...progress };
  return advance(schedule, { lastEnd: "NONE", isAccepted: false, ...facts });
}

test("a time that is due is started, and the next one is set", () => {
  const { progress, dueTime } = advanced({}, { now: at("01:00:02") });
  expect(progress).toMatchObject({ fire: { time: at("01:00:00") }, nextTime: at("02:00:00"), missed: 0 });
  expect(progress.fire?.executionId).toMatch(/^[0-9a-f]{24}$/);
  // It is looked at again if nobody tells how the start went.
  expect(dueTime).toEqual(at("01:00:32"));
});

test("a start that was accepted counts once, and the schedule waits for its next time", () => {
  const { progress } = advanced({}, { now: at("01:00:00") });
  const executionId = progress.fire?.executionId ?? "";
  const { progress: done, dueTime } = settle({ ...hourly, ...progress }, { executionId }, at("01:00:01"));
  expect(done).toMatchObject({ started: 1, lastExecutionId: executionId, lastTime: at("01:00:00"), isJudged: false });
  expect([done.fire, dueTime]).toEqual([undefined, at("02:00:00")]);
});

describe("a start of which nobody told how it went", () => {
  const fire = { executionId: "0".repeat(24), time: at("01:00:00"), retryTime: at("01:00:30") };
  const pending = { fire, nextTime: at("02:00:00") };

  test("is tried again under the same id", () => {
    const { progress } = advanced(pending, { now: at("01:00:31") });
    expect(progress.fire).toEqual({ ...fire, retryTime: at("01:01:01") });
  });

  test("is over where its execution is there", () => {
    const { progress } = advanced(pending, { now: at("01:00:31"), isAccepted: true });
    expect(progress).toMatchObject({ started: 1, lastExecutionId: fire.executionId });
    expect(progress.fire).toBeUndefined();
  });

  test("ends an earlier refusal where its execution is there", () => {
    const lastError = { reason: "QUEUE_FULL", message: "Later.", time: at("00:00:00") };
    const { progress } = advanced({ ...pending, lastError }, { now: at("01:00:31"), isAccepted: true });
    expect(progress.lastError).toBeUndefined();
  });

  test("is missed where it would be too late, and times that passed meanwhile count too", () => {
    const { progress } = advanced(pending, { now: at("03:30:00") });
    expect(progress).toMatchObject({ started: 0, missed: 3, nextTime: at("04:00:00") });
    expect(progress.fire).toBeUndefined();
  });
});

describe("times at which no process was there", () => {
  test("are missed, where they are longer ago than may be caught up", () => {
    const { progress } = advanced({}, { now: at("03:01:01") });
    expect(progress).toMatchObject({ missed: 3, nextTime: at("04:00:00") });
    expect(progress.fire).toBeUndefined();
  });

  test("are missed but for the last one, where that may be caught up", () => {
    const { progress } = advanced({}, { now: at("03:30:00") }, { catchUpSeconds: 3_600 });
    expect(progress).toMatchObject({ missed: 2, fire: { time: at("03:00:00") }, nextTime: at("04:00:00") });
  });

  test("are caught up for some seconds in any case", () => {
    expect(advanced({}, { now: at("01:00:09") }, { catchUpSeconds: 0 }).progress.fire).toBeDefined();
    expect(advanced({}, { now: at("01:00:11") }, { catchUpSeconds: 0 }).progress.fire).toBeUndefined();
  });
});

describe("a time at which the last execution has not ended", () => {
  const facts = { now: at("01:00:00"), lastEnd: "UNFINISHED" } as const;

  test("is skipped", () => {
    const { progress } = advanced({}, facts);
    expect(progress).toMatchObject({ skipped: 1, nextTime: at("02:00:00") });
    expect(progress.fire).toBeUndefined();
  });

  test("starts one all the same, where that is allowed", () => {
    expect(advanced({}, facts, { overlap: "ALLOW" }).progress.fire).toBeDefined();
  });

  test("is queued, where that is asked for; the ones behind it are skipped until it starts", () => {
    const settings = { overlap: "QUEUE_ONE" } as const;
    const queued = advanced({}, facts, settings);
    expect(queued).toMatchObject({ progress: { queuedTime: at("01:00:00"), skipped: 0 }, dueTime: at("01:00:02") });
    const skipped = advanced(queued.progress, { ...facts, now: at("02:00:00") }, settings).progress;
    expect(skipped).toMatchObject({ queuedTime: at("01:00:00"), skipped: 1 });
    const started = advanced(skipped, { now: at("02:10:00"), lastEnd: "COMPLETED" }, settings).progress;
    expect(started).toMatchObject({ fire: { time: at("01:00:00") }, nextTime: at("03:00:00") });
    expect(started.queuedTime).toBeUndefined();
  });
});

describe("failures", () => {
  const settings = { pauseAfterFailures: 2 };

  test("pause the schedule when there are so many in a row, each counted once", () => {
    const judged = advanced({ isJudged: false, failures: 0 }, { now: at("01:00:00"), lastEnd: "FAILED" }, settings);
    expect(judged.progress).toMatchObject({ failures: 1, isPaused: false, isJudged: true });
    expect(judged.progress.fire).toBeDefined();
    const again = advanced({ isJudged: true, failures: 1 }, { now: at("01:00:00"), lastEnd: "FAILED" }, settings);
    expect(again.progress).toMatchObject({ failures: 1, isPaused: false });
    const paused = advanced({ isJudged: false, failures: 1 }, { now: at("01:00:00"), lastEnd: "FAILED" }, settings);
    expect(paused).toEqual({ progress: expect.objectContaining({ failures: 2, isPaused: true }) });
    expect(paused.progress.nextTime).toBeUndefined();
  });

  test("are over with an execution that completes", () => {
    const { progress } = advanced({ isJudged: false, failures: 1 }, { now: at("01:00:00"), lastEnd: "COMPLETED" });
    expect(progress.failures).toBe(0);
  });

  test("are also starts that were refused, which are told", () => {
    const { progress } = advanced({}, { now: at("01:00:00") });
    const refusal = { reason: "WORKFLOW_NOT_PUBLISHED", message: "Publish it." };
    const result = { executionId: progress.fire?.executionId ?? "", refusal };
    expect(settle({ ...hourly, ...progress }, result, at("01:00:01")).progress).toMatchObject({
      ...{ started: 0, failures: 1, isJudged: true },
      lastError: { ...refusal, time: at("01:00:00") },
    });
  });

  test("count from 0 again where the schedule is resumed", () => {
    const { progress } = restart(hourly, { ...fresh, failures: 2, isPaused: true, isJudged: false }, at("05:30:00"));
    expect(progress).toMatchObject({ failures: 0, isJudged: true, isPaused: false, nextTime: at("06:00:00") });
  });
});

test("jitter puts a time off by the same amount on every process, and less than it may", () => {
  const settings = { ...hourly, jitterSeconds: 600 };
  const [one, other] = [restart(settings, fresh, at("00:30:00")), restart(settings, fresh, at("00:40:00"))];
  expect(one.dueTime).toEqual(other.dueTime);
  const lateMs = (one.dueTime?.getTime() ?? 0) - at("01:00:00").getTime();
  expect(lateMs).toBeGreaterThanOrEqual(0);
  expect(lateMs).toBeLessThan(600_000);
  expect(restart({ ...settings, id: "another" }, fresh, at("00:30:00")).dueTime).not.toEqual(one.dueTime);
});

test("a paused schedule is never due, and its times are not missed when it goes on", () => {
  const paused = restart({ ...hourly, isPaused: true }, fresh, at("00:30:00"));
  expect(paused.dueTime).toBeUndefined();
  const resumed = restart(hourly, paused.progress, at("09:30:00"));
  expect(resumed).toMatchObject({ progress: { missed: 0, nextTime: at("10:00:00") }, dueTime: at("10:00:00") });
});
