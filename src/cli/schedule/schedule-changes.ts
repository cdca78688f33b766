import type { JsonObject } from "@bufbuild/protobuf";
import { type Command, curlOption } from "../command/command.ts";
import { sendNamed } from "../command/named-call.ts";
import { member } from "../execution/execution-text.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { scheduleService, scheduleText } from "./schedule-text.ts";

/** A command that names a schedule and nothing else. */
function commandOf(
  verb: string,
  { method, summary, text }: { method: string; summary: string; text: (reply: JsonObject) => string },
): Command {
  return {
    name: `schedule ${verb}`,
    summary,
    positionals: ["SCHEDULE"],
    options: curlOption,
    example: `flowcall schedule ${verb} nightly`,

    async run(given, context) {
      const request = { schedule_id: given.word(0) };
      return await sendNamed(context, given, { name: `${scheduleService}.${method}`, request }, (reply) => {
        context.output.value(reply, text(reply));
        return exitCodes.done;
      });
    },
  };
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
