import type { Command } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";
import { printProblems } from "./file-problem.ts";
import { actionOf, stepJson, stepText } from "./plan.ts";
import { prepare } from "./push.ts";
import { RemoteWorkflows } from "./remote.ts";
import { errorsOf, problemsOf } from "./validation.ts";
import { readWorkflowFiles } from "./workflow-folder.ts";

export const validate: Command = {
  name: "workflow validate",
  summary: "Says everything that is wrong with workflow files: with what they hold, and with their graphs.",
  positionals: ["FOLDER|FILE..."],
  options: { local: { type: "boolean", help: "asks no server, and so does not check the graphs" } },
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

export const diff: Command = {
  name: "workflow diff",
  summary: "Says how the server's drafts differ from the files; the exit code is 1 where one does.",
  positionals: ["FOLDER|FILE..."],
  options: { publish: { type: "boolean", help: "looks at what is published too" } },
  example: "flowcall workflow diff flows",

  async run(given, context) {
    const { plan } = await prepare(given.positionals, context, given.isSet("publish"));
    const different = plan.filter((step) => actionOf(step) !== "none");
    if (context.output.format === "text") context.output.value(null, different.map(stepText).join("\n"));
    else context.output.table(different.map(stepJson), []);
    return different.length === 0 ? exitCodes.done : exitCodes.error;
  },
};
