import type { Command } from "../command/command.ts";
import { listNamed } from "../command/named-call.ts";
import { member } from "../execution/execution-text.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { countOf, scheduleService, timingText } from "./schedule-text.ts";

export const scheduleLs: Command = {
  name: "schedule ls",
  summary: "Lists the schedules of the environment, with their next times.",
  positionals: [],
  options: {},
  example: "flowcall schedule ls",

  async run(_, context) {
    const name = `${scheduleService}.ListSchedules`;
    const schedules = await listNamed(await context.connect(), { name, request: {} }, "schedules");
    context.output.table(schedules, [
      ["SCHEDULE", (schedule) => member(schedule, "id")],
      ["WORKFLOW", (schedule) => member(schedule, "workflow_id")],
      ["ACCOUNT", (schedule) => member(schedule, "linked_account_id")],
      ["TIMES", timingText],
      ["NEXT", (schedule) => (schedule["is_paused"] === true ? "paused" : member(schedule, "next_time"))],
      ["STARTED", (schedule) => countOf(schedule, "started")],
      ["MISSED", (schedule) => countOf(schedule, "missed")],
    ]);
    return exitCodes.done;
  },
};
