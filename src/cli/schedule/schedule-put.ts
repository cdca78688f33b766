import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { accountOption, type Command, curlOption, slugOption } from "../command/command.ts";
import { sendNamed } from "../command/named-call.ts";
import { dataText, parseJson } from "../input/json-input.ts";
import { usageError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { scheduleService, scheduleText } from "./schedule-text.ts";

export const schedulePut: Command = {
  name: "schedule put",
  summary: "Creates a schedule, by which a workflow runs without a call, or replaces its settings.",
  positionals: ["SCHEDULE", "WORKFLOW"],
  options: {
    cron: { type: "string", value: "CRON", help: "a cron expression of five fields, as '0 9 * * MON-FRI'" },
    zone: { type: "string", value: "ZONE", help: "the time zone of --cron, as Europe/Berlin; UTC if absent" },
    at: {
      type: "string",
      multiple: true,
      value: "TIME",
      help: "a single time, as 2026-01-31T12:00:00Z; instead of --cron",
    },
    data: { type: "string", short: "d", value: "JSON|@FILE|-", help: "the payload; an empty object if absent" },
    overlap: {
      type: "string",
      value: "POLICY",
      choices: ["SKIP", "QUEUE_ONE", "ALLOW"],
      help: "what happens while the execution before runs; SKIP if absent",
    },
    ...accountOption,
    ...slugOption,
    ...curlOption,
  },
  example: "flowcall schedule put nightly create-task --cron '0 3 * * *' --zone Europe/Berlin",

  async run(given, context) {
    const { account, slug } = context.settings;
    const [cron, zone, overlap, data] = ["cron", "zone", "overlap", "data"].map((name) => given.text(name));
    const times = given.texts("at");
    for (const time of times) {
      requireTime(time);
    }
    if (account === undefined) {
      throw usageError("Name the linked account by --account, FLOWCALL_ACCOUNT or a profile.");
    }
    const payload = data === undefined ? {} : parseJson(await dataText(data, context.stdin), "--data");
    const request: JsonObject = {
      ...{
        schedule_id: given.word(0),
        workflow: given.word(1),
        linked_account_id: account,
        payload,
        times: [...times],
      },
      ...(slug !== undefined && { slug }),
      ...(cron !== undefined && { cron }),
      ...(zone !== undefined && { time_zone: zone }),
      ...(overlap !== undefined && { overlap }),
    };
    return await sendNamed(context, given, { name: `${scheduleService}.PutSchedule`, request }, (schedule) => {
      context.output.value(schedule, scheduleText(schedule));
      return exitCodes.done;
    });
  },
};

function requireTime(text: string): void {
  try {
    fromJson(TimestampSchema, text);
  } catch {
    throw usageError(`--at must be a time as 2026-01-31T12:00:00Z, not ${JSON.stringify(text)}.`);
  }
}
