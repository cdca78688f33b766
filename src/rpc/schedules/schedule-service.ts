import { create } from "@bufbuild/protobuf";
import type { Schedules } from "../../authoring/schedules.ts";
import type { Call } from "../../domain/http/call.ts";
import {
  type DeleteScheduleRequest,
  DeleteScheduleResponseSchema,
  type GetScheduleRequest,
  type ListSchedulesRequest,
  ListSchedulesResponseSchema,
  type PauseScheduleRequest,
  type PutScheduleRequest,
  type ResumeScheduleRequest,
  ScheduleService,
  type TriggerScheduleRequest,
  TriggerScheduleResponseSchema,
} from "../../gen/flowcall/v1/schedule_pb.ts";
import type { Scheduler } from "../../scheduler/scheduler.ts";
import { scheduledCall } from "../../scheduler/schedules/schedule-runner.ts";
import type { ScheduleStore } from "../../storage/schedules/schedule-store.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import { accessScopeOf, principalOf } from "../chain/handler-call.ts";
import { type Implementation, implement, type ServiceHandlers } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { scheduleMessage, settingsOf } from "./schedule-message.ts";

export type ScheduleServiceOptions = {
  readonly stores: { readonly schedules: ScheduleStore; readonly workflows: WorkflowStore };
  readonly schedules: Schedules;
  readonly scheduler: Pick<Scheduler, "execute">;
};

/** Setting the times at which workflows run without a call. */
export function createScheduleService(options: ScheduleServiceOptions): Implementation {
  return implement(ScheduleService, new ScheduleHandlers(options));
}

class ScheduleHandlers implements ServiceHandlers<typeof ScheduleService> {
  readonly #options: ScheduleServiceOptions;

  constructor(options: ScheduleServiceOptions) {
    this.#options = options;
  }

  async putSchedule(request: PutScheduleRequest, call: Call) {
    return scheduleMessage(await this.#options.schedules.put(principalOf(call), settingsOf(request)));
  }

  async getSchedule({ scheduleId }: GetScheduleRequest, call: Call) {
    return scheduleMessage(await this.#options.stores.schedules.get(accessScopeOf(call), scheduleId));
  }

  async listSchedules(request: ListSchedulesRequest, call: Call) {
    const { workflow, slug, linkedAccountId } = request;
    const { schedules, workflows } = this.#options.stores;
    const access = accessScopeOf(call);
    const reference = workflow === undefined ? undefined : { workflow, ...(slug !== undefined && { slug }) };
    const found = reference && (await workflows.find(access, reference));
    const filter = {
      ...access,
      ...(found !== undefined && { workflowId: found.id }),
      ...(linkedAccountId !== undefined && { linkedAccountId }),
    };
    const page = await schedules.list(filter, pageOf(request));
    return create(ListSchedulesResponseSchema, {
      schedules: page.schedules.map((schedule) => scheduleMessage(schedule, { hasPayload: false })),
      ...nextOf(page),
    });
  }

  async deleteSchedule({ scheduleId }: DeleteScheduleRequest, call: Call) {
    await this.#options.stores.schedules.delete(principalOf(call), scheduleId);
    return create(DeleteScheduleResponseSchema);
  }

  async pauseSchedule({ scheduleId }: PauseScheduleRequest, call: Call) {
    return scheduleMessage(await this.#options.schedules.setPaused(principalOf(call), scheduleId, true));
  }

  async resumeSchedule({ scheduleId }: ResumeScheduleRequest, call: Call) {
    return scheduleMessage(await this.#options.schedules.setPaused(principalOf(call), scheduleId, false));
  }

  async triggerSchedule({ scheduleId }: TriggerScheduleRequest, call: Call) {
    const { organizationId, environmentId } = principalOf(call);
    const schedule = await this.#options.stores.schedules.get(accessScopeOf(call), scheduleId);
    const owned = { ...schedule, organizationId, environmentId };
    const { executionId } = await this.#options.scheduler.execute(scheduledCall(owned, new Date()));
    return create(TriggerScheduleResponseSchema, { executionId });
  }
}
