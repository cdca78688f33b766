import type { JsonObject } from "@bufbuild/protobuf";
import type { Command } from "../command/command.ts";
import { isConfirmed } from "../command/confirm.ts";
import { type ExitCode, exitCodes } from "../output/exit-codes.ts";
import { applyPush, resultText } from "../workflow-sync/apply-push.ts";
import { preparePush } from "../workflow-sync/prepare-push.ts";
import { actionOf, stepJson, stepText } from "../workflow-sync/push-plan.ts";

export const push: Command = {
  name: "workflow push",
  summary: "Makes the server's drafts equal to the files, after showing what that changes.",
  positionals: ["FOLDER|FILE..."],
  options: {
    publish: { type: "boolean", help: "also publishes the workflows that are not yet published like this" },
    create: { type: "boolean", help: "creates missing integrations; needs the scope admin" },
    yes: { type: "boolean", short: "y", help: "does not ask first" },
    "dry-run": { type: "boolean", help: "only shows what would change" },
  },
  example: "flowcall workflow push flows --publish --yes",

  async run(given, context) {
    const { output } = context;
    const prepared = await preparePush(given.positionals, context, {
      isPublishing: given.isSet("publish"),
      isCreating: given.isSet("create"),
    });
    const due = prepared.plan.filter((step) => actionOf(step) !== "none");
    if (given.isSet("dry-run")) {
      if (output.format === "text") {
        output.value(null, due.map(stepText).join("\n"));
      } else {
        output.table(due.map(stepJson), []);
      }
      return exitCodes.done;
    }
    for (const slug of prepared.newSlugs) {
      output.note(`create the integration ${slug}`);
    }
    for (const step of due) {
      output.note(stepText(step));
    }
    if (due.length > 0 && !given.isSet("yes") && !(await isConfirmed(context))) {
      output.note("Nothing was changed.");
      return exitCodes.error;
    }
    let exitCode: ExitCode = exitCodes.done;
    const results = applyPush(prepared, context);
    const json = (result: JsonObject) => {
      if (result["failed"] !== undefined) {
        exitCode = exitCodes.error;
      }
      return result;
    };
    await output.stream(results, json, (result) => resultText(json(result)));
    return exitCode;
  },
};
