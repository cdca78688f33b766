import type { JsonText } from "../json/json-text.ts";
import type { Timing } from "./timetable.ts";

/** The headers of the event of a scheduled execution. No caller can send them. */
export const scheduleHeader = "x-flowcall-schedule";
export const scheduledTimeHeader = "x-flowcall-scheduled-time";

/** What happens at a time at which the execution of the time before has not ended. */
export type Overlap = "SKIP" | "QUEUE_ONE" | "ALLOW";

/** The settings of a schedule. */
export type ScheduleSettings = Timing & {
  readonly id: string;
  readonly workflowId: string;
  readonly linkedAccountId: string;
  readonly configId?: string;
  readonly tag?: string;
  /** `event.body` of its executions. */
  readonly payload: JsonText;
  readonly overlap: Overlap;
  readonly catchUpSeconds: number;
  readonly jitterSeconds: number;
  readonly isPaused: boolean;
  readonly pauseAfterFailures?: number;
};

/** A start of an execution that is decided and may not be accepted yet. Whoever accepts it takes this id for it. */
export type Fire = {
  readonly executionId: string;
  readonly time: Date;
  /** When another process may try, if this one has not told how it went. */
  readonly retryTime: Date;
};

/** Why no execution was started at a time. */
export type ScheduleError = { readonly reason: string; readonly message: string; readonly time: Date };

/** How a schedule stands. */
export type ScheduleProgress = {
  /** The next time; absent where there is none, or where it is paused. */
  readonly nextTime?: Date;
  /** The time for which an execution is started as soon as the last one has ended. */
  readonly queuedTime?: Date;
  readonly fire?: Fire;
  readonly lastTime?: Date;
  /** The execution of the last time; absent where its start was refused. */
  readonly lastExecutionId?: string;
  readonly lastError?: ScheduleError;
  readonly started: number;
  readonly skipped: number;
  readonly missed: number;
  readonly failures: number;
  /** Whether the end of the last execution is counted in `failures`. */
  readonly isJudged: boolean;
  readonly isPaused: boolean;
};

/** A stored schedule. Times are the database's. */
export type ScheduleRecord = ScheduleSettings &
  ScheduleProgress & { readonly revision: number; readonly createTime: Date; readonly updateTime: Date };
