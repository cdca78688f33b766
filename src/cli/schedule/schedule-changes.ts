import type { Command } from "../command/command.ts";
import { type NamedCommand, namedCommand } from "../command/named-command.ts";
import { member } from "../execution/execution-text.ts";
import { scheduleService, scheduleText } from "./schedule-text.ts";

/** A command that names a schedule and nothing else. */
function commandOf(verb: string, { method, ...rest }: Pick<NamedCommand, "method" | "summary" | "text">): Command {
  return namedCommand({
    ...rest,
    name: `schedule ${verb}`,
    method: `${scheduleService}.${method}`,
    words: { schedule_id: "SCHEDULE" },
    example: `flowcall schedule ${verb} nightly`,
  });
}

export const scheduleGet = commandOf("get", {
  method: "GetSchedule",
  summary: "Shows a schedule: its next time, and what came of the last ones.",
  text: scheduleText,
});

export const schedulePause = commandOf("pause", {
  method: "PauseSchedule",
  summary: "Lets a schedule start nothing until it is resumed.",
  text: scheduleText,
});

export const scheduleResume = commandOf("resume", {
  method: "ResumeSchedule",
  summary: "Lets a paused schedule go on, with its next time from now.",
  text: scheduleText,
});

export const scheduleTrigger = commandOf("trigger", {
  method: "TriggerSchedule",
  summary: "Starts an execution of a schedule now, and prints its id.",
  text: (reply) => member(reply, "execution_id") ?? "",
});

export const scheduleRm = commandOf("rm", {
  method: "DeleteSchedule",
  summary: "Deletes a schedule. Executions that it has started go on.",
  text: () => "",
});
