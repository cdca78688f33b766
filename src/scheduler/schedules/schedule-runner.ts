import type { JsonObject } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import type { Clock } from "../../domain/clock.ts";
import { parseJson } from "../../domain/json/json-parse.ts";
import { type Reason, reasons } from "../../domain/reason.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { FireResult } from "../../domain/schedules/advance-schedule.ts";
import { scheduledTimeHeader, scheduleHeader } from "../../domain/schedules/schedule.ts";
import type { Service } from "../../domain/service.ts";
import type { Notifier } from "../../storage/postgres/notifier.ts";
import type { DueSchedules } from "../../storage/schedules/due-schedules.ts";
import type { OwnedSchedule } from "../../storage/schedules/schedule-store.ts";
import type { ExecuteCall } from "../accept/execute-call.ts";
import { PeriodicTask } from "../process/periodic-task.ts";

/** How many schedules one transaction advances, and are started at the same time. */
const batchMax = 100;

/** How often the schedules are looked at where none is due earlier: another process may have put one. */
const everyMs = 5_000;

export type ScheduleRunnerOptions = {
  readonly dueSchedules: DueSchedules;
  /** See `Acceptor.enqueueOnce`. */
  readonly enqueue: (call: ExecuteCall, executionId: string) => Promise<void>;
  readonly notifier: Pick<Notifier, "listen">;
  readonly clock: Clock;
  readonly log: Logger;
};

/** Starts executions at the times of schedules. All processes do, and each time starts one execution. */
export class ScheduleRunner implements Service {
  readonly #options: ScheduleRunnerOptions;
  readonly #task: PeriodicTask;
  #dueInMs: number | undefined;
  #isStopping = false;

  constructor(options: ScheduleRunnerOptions) {
    const { clock, log } = options;
    this.#options = options;
    const runOnce = () => this.#runDue();
    this.#task = new PeriodicTask({ name: "schedules", everyMs, runOnce, dueInMs: () => this.#dueInMs, clock, log });
  }

  async start(): Promise<void> {
    this.#options.notifier.listen("schedules", () => this.#task.wake());
    await this.#task.start();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#task.stop();
  }

  async #runDue(): Promise<void> {
    const { dueSchedules } = this.#options;
    for (let isMore = true; isMore && !this.#isStopping; ) {
      const { fires, count } = await dueSchedules.advance(batchMax);
      const results = await Promise.all(fires.map((schedule) => this.#start(schedule)));
      const known = results.filter((result) => result !== undefined);
      if (known.length > 0) {
        await dueSchedules.settle(known);
      }
      isMore = count === batchMax;
    }
    this.#dueInMs = await dueSchedules.dueInMs();
  }

  /** Starts an execution. Undefined: it is not known whether it was accepted, or it may be later; the schedule is tried again. */
  async #start(schedule: OwnedSchedule): Promise<FireResult | undefined> {
    const { enqueue, log } = this.#options;
    const { id, environmentId, fire } = schedule;
    if (fire === undefined) {
      return undefined;
    }
    const { executionId, time } = fire;
    try {
      await enqueue(scheduledCall(schedule, time), executionId);
      return { executionId };
    } catch (error) {
      if (error instanceof RequestError && !isTransient(error.reason)) {
        const { reason, message } = error;
        log.warn({ schedule: id, environmentId, executionId, reason }, "a schedule's start is refused");
        return { executionId, refusal: { reason, message } };
      }
      log.warn({ schedule: id, environmentId, executionId, err: error }, "a schedule's start is tried again");
      return undefined;
    }
  }
}

/** The call that a schedule makes at one of its times, or when it is triggered. */
export function scheduledCall(schedule: OwnedSchedule, time: Date): ExecuteCall {
  const { id, environmentId, organizationId, workflowId, linkedAccountId, configId, tag, payload } = schedule;
  const headers = { [scheduleHeader]: id, [scheduledTimeHeader]: time.toISOString() };
  return {
    ...{ environmentId, organizationId, linkedAccountId, payload },
    reference: { workflow: workflowId },
    type: "ASYNC",
    source: "SCHEDULE",
    // It was checked to be an object when the schedule was put.
    event: { body: parseJson(payload) as JsonObject, headers },
    signal: new AbortController().signal,
    ...(configId !== undefined && { configId }),
    ...(tag !== undefined && { tag }),
  };
}

/** Whether a refusal is of the moment: the server is busy, or cannot reach what it needs. */
function isTransient(reason: Reason): boolean {
  const { status } = reasons[reason];
  return status >= 500 || status === 429;
}
