import { WorkflowService } from "../../gen/flowcall/v1/workflow_pb.ts";
import { type Command, curlOption, slugOption } from "../command/command.ts";
import { sendNamed } from "../command/named-call.ts";
import { usageError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { referencesOf } from "../workflow-sync/references.ts";

export const restore: Command = {
  name: "workflow restore",
  summary: "Publishes an earlier version again as the newest one; the draft stays as it is.",
  positionals: ["ALIAS|ID|FILE", "VERSION"],
  options: { ...slugOption, ...curlOption },
  example: "flowcall workflow restore greet 1 --slug asana",

  async run(given, context) {
    const [reference] = await referencesOf(given.word(0), context);
    const version = Number(given.word(1));
    if (reference === undefined || !Number.isInteger(version)) {
      throw usageError("flowcall workflow restore takes one workflow and the number of a version.");
    }
    const name = `${WorkflowService.typeName}.RestoreVersion`;
    return await sendNamed(context, given, { name, request: { ...reference, version } }, (reply) => {
      context.output.value(reply, `published ${reference.workflow} v${reply["version"]}`);
      return exitCodes.done;
    });
  },
};
