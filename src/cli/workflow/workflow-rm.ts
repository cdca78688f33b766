import { WorkflowService } from "../../gen/flowcall/v1/workflow_pb.ts";
import { type Command, slugOption } from "../command/command.ts";
import { isConfirmed } from "../command/confirm.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { referencesOf } from "../workflow-sync/references.ts";

const service = WorkflowService.method;

export const workflowRm: Command = {
  name: "workflow rm",
  summary: "Deletes workflows with their drafts and versions from the server; files and past executions stay.",
  positionals: ["ALIAS|ID|FILE..."],
  options: { ...slugOption, yes: { type: "boolean", short: "y", help: "does not ask first" } },
  example: "flowcall workflow rm greet --slug asana --yes",

  async run(given, context) {
    const { output, signal } = context;
    const references = (await Promise.all(given.positionals.map((word) => referencesOf(word, context)))).flat();
    const client = await context.connect();
    const found = await Promise.all(references.map((one) => client.unary(service.getWorkflow, one, { signal })));
    const names = found.map(({ slug, alias, id }) => `${slug}/${alias ?? id}`);
    for (const name of names) {
      output.note(`delete ${name}`);
    }
    if (!given.isSet("yes") && !(await isConfirmed(context))) {
      output.note("Nothing was changed.");
      return exitCodes.error;
    }
    for (const { id } of found) {
      await client.unary(service.deleteWorkflow, { workflow: id }, { signal });
    }
    if (output.format === "text") {
      output.value(null, names.map((name) => `deleted ${name}`).join("\n"));
    } else {
      output.table(
        found.map(({ id, slug, alias = id }) => ({ id, workflow: `${slug}/${alias}` })),
        [],
      );
    }
    return exitCodes.done;
  },
};
