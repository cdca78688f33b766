import { type Command, slugOption } from "../command/command.ts";
import { listNamed } from "../command/named-call.ts";
import { member } from "../execution/execution-text.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { referenceOf } from "../workflow-sync/references.ts";

export const versions: Command = {
  name: "workflow versions",
  summary: "Lists the published versions of a workflow, newest first; * marks the one that calls run.",
  positionals: ["ALIAS|ID|FILE"],
  options: slugOption,
  example: "flowcall workflow versions create-task --slug asana",

  async run(given, context) {
    const request = { ...(await referenceOf(given.word(0), context)) };
    const asked = { name: "flowcall.v1.WorkflowService.ListVersions", request };
    const found = await listNamed(await context.connect(), asked, "versions");
    context.output.table(found, [
      ["", (version) => (version["is_current"] === true ? "*" : "")],
      ["VERSION", (version) => `v${member(version, "version")}`],
      ["PUBLISHED", (version) => member(version, "create_time")],
    ]);
    return exitCodes.done;
  },
};
