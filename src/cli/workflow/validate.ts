import type { Command } from "../command/command.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { printProblems } from "../workflow-file/file-problem.ts";
import { readWorkflowFiles } from "../workflow-file/workflow-folder.ts";
import { errorsOf, problemsOf } from "../workflow-sync/find-problems.ts";
import { RemoteWorkflows } from "../workflow-sync/remote-workflows.ts";

export const validate: Command = {
  name: "workflow validate",
  summary: "Reports all errors in workflow files, those of their graphs included.",
  positionals: ["FOLDER|FILE..."],
  options: { local: { type: "boolean", help: "calls no server, so does not check the graphs" } },
  formats: ["text", "json", "jsonl", "github"],
  example: "flowcall workflow validate flows -o github",

  async run(given, context) {
    const files = await readWorkflowFiles(given.positionals);
    const remote = given.isSet("local") ? undefined : await RemoteWorkflows.list(context);
    const problems = await problemsOf(files, remote);
    printProblems(problems, context.output, given.text("output") === "github");
    const errors = errorsOf(problems).length;
    context.output.note(`files: ${files.length}, errors: ${errors}`);
    return errors === 0 ? exitCodes.done : exitCodes.error;
  },
};
