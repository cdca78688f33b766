import { hash } from "node:crypto";
import { newId } from "../id.ts";
import type { Fire, ScheduleProgress, ScheduleSettings } from "./schedule.ts";
import { Timetable } from "./timetable.ts";

/** What the database says of a schedule that is due. */
export type Facts = {
  /** The database's time. */
  readonly now: Date;
  /** How the execution of the last time stands; NONE where there is none, or not any more. */
  readonly lastEnd: "UNFINISHED" | "COMPLETED" | "FAILED" | "NONE";
  /** Whether the execution of the fire that is under way exists. */
  readonly isAccepted: boolean;
};

/** What a schedule becomes, and when it has to be looked at again; never, where that is absent. */
export type Advance = { readonly progress: ScheduleProgress; readonly dueTime?: Date };

/** How late a time may always be started: processes look at schedules every few seconds, and may be busy. */
const graceSeconds = 10;

/** How long whoever decided a fire has to see it through. */
const fireMs = 30_000;

/** How often the end of an execution is looked for that another one waits for. */
const queuedMs = 2_000;

/**
 * Decides what a due schedule does: a fire that is under way is seen through or given up, the times that have passed are
 * started, skipped or missed, and the next one is set. Each time counts once.
 */
export function advance(schedule: ScheduleSettings & ScheduleProgress, facts: Facts): Advance {
  const settled = settleFire(schedule, progressOf(schedule), facts);
  const next = settled.fire === undefined ? passTimes(schedule, settled, facts) : settled;
  return withDueTime(schedule, next, facts.now);
}

/** The progress when the settings are put, or the schedule is resumed: its next time is one after now. */
export function restart(settings: ScheduleSettings, progress: ScheduleProgress, now: Date): Advance {
  const { nextTime: _, queuedTime: __, ...kept } = progressOf(progress);
  const { isPaused } = settings;
  const next = isPaused ? undefined : new Timetable(settings).next(now);
  const restarted = { ...kept, isPaused, failures: 0, isJudged: true, ...(next && { nextTime: next }) };
  return withDueTime(settings, restarted, now);
}

/** How a start went: accepted, where there is no refusal. */
export type FireResult = Pick<Fire, "executionId"> & {
  readonly refusal?: { readonly reason: string; readonly message: string };
};

/** What a schedule becomes when its fire has been seen through. */
export function settle(schedule: ScheduleSettings & ScheduleProgress, { refusal }: FireResult, now: Date): Advance {
  return withDueTime(schedule, afterFire(progressOf(schedule), refusal), now);
}

/** The progress after the fire: its execution was accepted, or refused for good. */
function afterFire(progress: ScheduleProgress, refusal?: FireResult["refusal"]): ScheduleProgress {
  const { fire, lastError: _, lastExecutionId: __, ...rest } = progress;
  if (fire === undefined) {
    return progress;
  }
  const { executionId, time } = fire;
  return refusal === undefined
    ? { ...rest, lastTime: time, lastExecutionId: executionId, started: rest.started + 1, isJudged: false }
    : { ...rest, lastTime: time, lastError: { ...refusal, time }, failures: rest.failures + 1, isJudged: true };
}

function settleFire(
  settings: ScheduleSettings,
  progress: ScheduleProgress,
  { now, isAccepted }: Facts,
): ScheduleProgress {
  const { fire } = progress;
  if (fire === undefined) {
    return progress;
  }
  if (isAccepted) {
    return afterFire(progress);
  }
  if (now < fire.retryTime) {
    return progress;
  }
  if (isLate(settings, fire.time, now, fireMs)) {
    const { fire: _, ...rest } = progress;
    return { ...rest, missed: rest.missed + 1 };
  }
  return { ...progress, fire: { ...fire, retryTime: new Date(now.getTime() + fireMs) } };
}

function passTimes(settings: ScheduleSettings, progress: ScheduleProgress, { now, lastEnd }: Facts): ScheduleProgress {
  const { nextTime, queuedTime, ...rest } = progress;
  const isDue = nextTime !== undefined && dueTimeOf(settings, nextTime) <= now;
  if (!isDue && queuedTime === undefined) {
    return progress;
  }
  const judged = judge(rest, lastEnd);
  const { pauseAfterFailures = Number.POSITIVE_INFINITY } = settings;
  if (judged.failures >= pauseAfterFailures) {
    return { ...judged, isPaused: true };
  }
  const timetable = new Timetable(settings);
  const passed = isDue ? timetable.passed(nextTime, now) : undefined;
  const following = passed === undefined ? nextTime : timetable.next(latestOf(passed.last, now));
  const isMissed = passed !== undefined && isLate(settings, passed.last, now, 0);
  const base = {
    ...judged,
    missed: rest.missed + (passed === undefined ? 0 : passed.count - (isMissed ? 0 : 1)),
    ...(following && { nextTime: following }),
  };
  return start(base, { settings, queuedTime, time: isMissed ? undefined : passed?.last, lastEnd, now });
}

type Candidates = {
  readonly settings: ScheduleSettings;
  readonly queuedTime: Date | undefined;
  /** The time that is due. */
  readonly time: Date | undefined;
} & Pick<Facts, "lastEnd" | "now">;

/** Starts what the overlap policy lets start. */
function start(progress: ScheduleProgress, { settings, queuedTime, time, lastEnd, now }: Candidates): ScheduleProgress {
  const isRunning = lastEnd === "UNFINISHED" && settings.overlap !== "ALLOW";
  if (!isRunning) {
    const [first, second] = [queuedTime, time].filter((one) => one !== undefined);
    return {
      ...progress,
      ...(first && { fire: fireOf(first, now) }),
      ...(second && { queuedTime: second }),
    };
  }
  if (settings.overlap === "QUEUE_ONE" && queuedTime === undefined) {
    return { ...progress, ...(time && { queuedTime: time }) };
  }
  return {
    ...progress,
    skipped: progress.skipped + (time === undefined ? 0 : 1),
    ...(queuedTime && { queuedTime }),
  };
}

function fireOf(time: Date, now: Date): Fire {
  return { executionId: newId(), time, retryTime: new Date(now.getTime() + fireMs) };
}

/** Counts how the last execution ended, once. */
function judge(progress: ScheduleProgress, lastEnd: Facts["lastEnd"]): ScheduleProgress {
  if (progress.isJudged || lastEnd === "UNFINISHED") {
    return progress;
  }
  const failures = lastEnd === "FAILED" ? progress.failures + 1 : lastEnd === "COMPLETED" ? 0 : progress.failures;
  return { ...progress, failures, isJudged: true };
}

function isLate({ catchUpSeconds, jitterSeconds }: ScheduleSettings, time: Date, now: Date, extraMs: number): boolean {
  const seconds = Math.max(catchUpSeconds, graceSeconds) + jitterSeconds;
  return now.getTime() - time.getTime() > seconds * 1_000 + extraMs;
}

/** The time with its jitter. It is the same for all processes. */
function dueTimeOf({ id, jitterSeconds }: Pick<ScheduleSettings, "id" | "jitterSeconds">, time: Date): Date {
  if (jitterSeconds === 0) {
    return time;
  }
  const digest = Number.parseInt(hash("sha256", `${id}\n${time.toISOString()}`).slice(0, 8), 16);
  return new Date(time.getTime() + Math.floor((digest / 2 ** 32) * jitterSeconds * 1_000));
}

/** A schedule is looked at again when its fire may be tried again; where there is none, at its next time. */
function withDueTime(settings: ScheduleSettings, progress: ScheduleProgress, now: Date): Advance {
  const { nextTime, queuedTime, fire } = progress;
  const next = nextTime && dueTimeOf(settings, nextTime);
  const queued = queuedTime && new Date(now.getTime() + queuedMs);
  const [earliest] = [next, queued].filter((time) => time !== undefined).toSorted((a, b) => a.getTime() - b.getTime());
  const dueTime = fire?.retryTime ?? earliest;
  return { progress, ...(dueTime && { dueTime }) };
}

function latestOf(one: Date, other: Date): Date {
  return one > other ? one : other;
}

/** The progress alone, of a record that has more. */
function progressOf(schedule: ScheduleProgress): ScheduleProgress {
  const { nextTime, queuedTime, fire, lastTime, lastExecutionId, lastError } = schedule;
  const { started, skipped, missed, failures, isJudged, isPaused } = schedule;
  return {
    ...(nextTime && { nextTime }),
    ...(queuedTime && { queuedTime }),
    ...(fire && { fire }),
    ...(lastTime && { lastTime }),
    ...(lastExecutionId !== undefined && { lastExecutionId }),
    ...(lastError && { lastError }),
    ...{ started, skipped, missed, failures, isJudged, isPaused },
  };
}
