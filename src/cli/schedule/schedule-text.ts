import type { JsonObject } from "@bufbuild/protobuf";
import { member } from "../execution/execution-text.ts";
import { printable } from "../output/output.ts";

export const scheduleService = "flowcall.v1.ScheduleService";

/** When a schedule is due, in words. */
export function timingText(schedule: JsonObject): string {
  const cron = member(schedule, "cron");
  const times = [schedule["times"] ?? []].flat();
  return cron === undefined
    ? `${times.length} single ${times.length === 1 ? "time" : "times"}`
    : `${cron} ${member(schedule, "time_zone") ?? ""}`;
}

/** A count of a schedule; JSON leaves out a count of 0. */
export function countOf(schedule: JsonObject, name: "started" | "skipped" | "missed"): string {
  return member(schedule, name) ?? "0";
}

/** A schedule as lines. */
export function scheduleText(schedule: JsonObject): string {
  const error = schedule["last_error"];
  const facts = {
    times: timingText(schedule),
    next:
      schedule["is_paused"] === true ? "paused" : (member(schedule, "next_time") ?? "never: its last time has passed"),
    last: [member(schedule, "last_time"), member(schedule, "last_execution_id")].filter(Boolean).join("  "),
    started: `${countOf(schedule, "started")}, skipped ${countOf(schedule, "skipped")}, missed ${countOf(schedule, "missed")}`,
    refused: error === undefined ? "" : `${Object(error).reason}: ${Object(error).message}`,
  };
  const lines = Object.entries(facts).filter(([, text]) => text !== "");
  return [
    printable(
      `${member(schedule, "id")}  ${member(schedule, "workflow_id")}  ${member(schedule, "linked_account_id")}`,
    ),
    ...lines.map(([name, text]) => printable(`${name.padEnd(11)} ${text}`)),
  ].join("\n");
}
