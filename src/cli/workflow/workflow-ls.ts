import { type JsonObject, toJson } from "@bufbuild/protobuf";
import { WorkflowSchema } from "../../gen/flowcall/v1/workflow_pb.ts";
import { type Command, slugOption } from "../command/command.ts";
import { member } from "../execution/execution-text.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { RemoteWorkflows } from "../workflow-sync/remote-workflows.ts";

export const workflowLs: Command = {
  name: "workflow ls",
  summary: "Lists the workflows of the environment, or of an integration.",
  positionals: [],
  options: slugOption,
  example: "flowcall workflow ls --slug asana",

  async run(given, context) {
    // Only the option filters: a profile's slug would hide workflows unnoticed.
    const slug = given.text("slug");
    const { all } = await RemoteWorkflows.list(context);
    const chosen = all.filter((workflow) => slug === undefined || workflow.slug === slug);
    // The JSON of a message of ours is an object.
    const rows = chosen.map((workflow) => toJson(WorkflowSchema, workflow) as JsonObject);
    context.output.table(rows, [
      ["WORKFLOW", (row) => `${member(row, "slug")}/${member(row, "alias") ?? member(row, "id")}`],
      ["RUNS", (row) => (row["current_version"] === undefined ? "-" : `v${member(row, "current_version")}`)],
      ["NAME", (row) => member(row, "name")],
      ["CHANGED", (row) => member(row, "update_time"), 2],
      ["ID", (row) => member(row, "id"), 1],
    ]);
    return exitCodes.done;
  },
};
