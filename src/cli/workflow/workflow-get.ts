import { type JsonObject, toJson } from "@bufbuild/protobuf";
import { stringify } from "yaml";
import { WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import { WorkflowSchema, WorkflowService } from "../../gen/flowcall/v1/workflow_pb.ts";
import { type Command, curlOption, slugOption } from "../command/command.ts";
import { send } from "../command/context.ts";
import { timeText } from "../execution/execution-text.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { printable } from "../output/output.ts";
import { compact } from "../workflow-file/shorthand.ts";
import { referenceOf } from "../workflow-sync/references.ts";

const service = WorkflowService.method;

export const workflowGet: Command = {
  name: "workflow get",
  summary: "Shows a workflow and how to call it; or prints its draft or a published version.",
  positionals: ["ALIAS|ID|FILE"],
  options: {
    draft: { type: "boolean", help: "prints the draft's definition in the format of files" },
    version: { type: "string", value: "N", help: "prints the definition of a published version" },
    ...slugOption,
    ...curlOption,
  },
  example: "flowcall workflow get create-task --slug asana",

  async run(given, context) {
    const reference = await referenceOf(given.word(0), context);
    const version = given.number("version");
    if (version !== undefined) {
      return await send(context, given, service.getVersion, { ...reference, version }, ({ definition }) => {
        return show(definition === undefined ? {} : toJson(WorkflowDefinitionSchema, definition));
      });
    }
    if (given.isSet("draft")) {
      return await send(context, given, service.getDraft, reference, ({ definition }) => {
        return show(definition === undefined ? {} : toJson(WorkflowDefinitionSchema, definition));
      });
    }
    return await send(context, given, service.getWorkflow, reference, (workflow) => {
      // The JSON of a message of ours is an object.
      const json = toJson(WorkflowSchema, workflow) as JsonObject;
      const { currentVersion, createTime, updateTime } = workflow;
      const facts = [
        ["workflow", `${workflow.slug}/${workflow.alias ?? workflow.id}`],
        ["name", workflow.name],
        ["description", workflow.description],
        ["id", workflow.id],
        ["calls run", currentVersion === undefined ? "nothing: it is not published" : `v${currentVersion}`],
        ["url", `${workflow.method} ${workflow.url}`],
        ["payload", "payload" in json ? JSON.stringify(json["payload"]) : undefined],
        ["created", timeText(createTime)],
        ["changed", timeText(updateTime)],
      ] as const;
      const lines = facts.flatMap(([name, text]) => (text ? [`${name.padEnd(11)} ${printable(text)}`] : []));
      context.output.value(json, lines.join("\n"));
      return exitCodes.done;
    });

    function show(definition: ReturnType<typeof toJson>) {
      // The JSON of a message of ours is an object.
      const json = compact(WorkflowDefinitionSchema, definition as JsonObject);
      context.output.value(definition, stringify(json, { lineWidth: 0 }).trimEnd());
      return exitCodes.done;
    }
  },
};
