import { toJson } from "@bufbuild/protobuf";
import { WorkflowSchema, WorkflowService } from "../../gen/flowcall/v1/workflow_pb.ts";
import { type Command, curlOption, slugOption } from "../command/command.ts";
import { send } from "../command/context.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { referenceOf } from "../workflow-sync/references.ts";

export const unpublish: Command = {
  name: "workflow unpublish",
  summary: "Unpublishes a workflow: calls are refused; its draft and versions stay.",
  positionals: ["ALIAS|ID|FILE"],
  options: { ...slugOption, ...curlOption },
  example: "flowcall workflow unpublish greet --slug asana",

  async run(given, context) {
    const reference = await referenceOf(given.word(0), context);
    return await send(context, given, WorkflowService.method.unpublishWorkflow, reference, (workflow) => {
      const name = `${workflow.slug}/${workflow.alias ?? workflow.id}`;
      context.output.value(toJson(WorkflowSchema, workflow), `unpublished ${name}`);
      return exitCodes.done;
    });
  },
};
