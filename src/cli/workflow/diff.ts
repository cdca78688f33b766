import type { Command } from "../command/command.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { preparePush } from "../workflow-sync/prepare-push.ts";
import { actionOf, stepJson, stepText } from "../workflow-sync/push-plan.ts";

export const diff: Command = {
  name: "workflow diff",
  summary: "Shows how the server's drafts differ from the files; exits with 1 if one does.",
  positionals: ["FOLDER|FILE..."],
  options: { publish: { type: "boolean", help: "also compares the published versions" } },
  example: "flowcall workflow diff flows",

  async run(given, context) {
    const { plan } = await preparePush(given.positionals, context, { isPublishing: given.isSet("publish") });
    const different = plan.filter((step) => actionOf(step) !== "none");
    if (context.output.format === "text") {
      context.output.value(null, different.map(stepText).join("\n"));
    } else {
      context.output.table(different.map(stepJson), []);
    }
    return different.length === 0 ? exitCodes.done : exitCodes.error;
  },
};
