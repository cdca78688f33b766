import { type JsonObject, toJson } from "@bufbuild/protobuf";
import { PublishWorkflowResponseSchema, WorkflowService } from "../../gen/flowcall/v1/workflow_pb.ts";
import { type Command, slugOption } from "../command/command.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { problemText } from "../output/failure.ts";
import { referencesOf } from "../workflow-sync/references.ts";

export const publish: Command = {
  name: "workflow publish",
  summary: "Publishes the server's drafts of workflows that are named by alias, id or file.",
  positionals: ["ALIAS|ID|FILE|FOLDER..."],
  options: slugOption,
  example: "flowcall workflow publish greet --slug asana",

  async run(given, context) {
    const { output, signal } = context;
    const references = (await Promise.all(given.positionals.map((word) => referencesOf(word, context)))).flat();
    const client = await context.connect();
    const published: JsonObject[] = [];
    for (const reference of references) {
      const reply = await client.unary(WorkflowService.method.publishWorkflow, reference, { signal });
      for (const warning of reply.warnings) {
        output.note(`${reference.workflow}: warning: ${problemText(warning)}`);
      }
      // The JSON of a reply message is an object.
      const json = toJson(PublishWorkflowResponseSchema, reply) as JsonObject;
      if (output.format === "text") {
        output.value(null, `published ${reference.workflow} v${reply.version}`);
      }
      published.push({ workflow: reference.workflow, ...json });
    }
    if (output.format !== "text") {
      output.table(published, []);
    }
    return exitCodes.done;
  },
};
