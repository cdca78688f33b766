import { type JsonObject, toJson } from "@bufbuild/protobuf";
import { PublishWorkflowResponseSchema, WorkflowService } from "../../gen/flowcall/v1/workflow_pb.ts";
import { usageError } from "../cli-error.ts";
import { type Command, curlOption, slugOption } from "../command.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { problemText } from "../failure.ts";
import { sendNamed } from "../named-call.ts";
import { problemLine } from "./file-problem.ts";
import { errorsOf } from "./validation.ts";
import { isThere, readWorkflowFiles } from "./workflow-folder.ts";

export const publish: Command = {
  name: "workflow publish",
  summary: "Publishes drafts as they are on the server: of aliases or ids, or of the workflows of files.",
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
      for (const warning of reply.warnings) output.note(`${reference.workflow}: warning: ${problemText(warning)}`);
      // The JSON of a reply message is an object.
      const json = toJson(PublishWorkflowResponseSchema, reply) as JsonObject;
      if (output.format === "text") output.value(null, `published ${reference.workflow} v${reply.version}`);
      published.push({ workflow: reference.workflow, ...json });
    }
    if (output.format !== "text") output.table(published, []);
    return exitCodes.done;
  },
};

export const restore: Command = {
  name: "workflow restore",
  summary: "Publishes an earlier version again, as the next one; the draft stays as it is.",
  positionals: ["ALIAS|ID|FILE", "VERSION"],
  options: { ...slugOption, ...curlOption },
  example: "flowcall workflow restore greet 1 --slug asana",

  async run(given, context) {
    const [reference] = await referencesOf(given.word(0), context);
    const version = Number(given.word(1));
    if (reference === undefined || !Number.isInteger(version)) {
      throw usageError("flowcall workflow restore takes one workflow and a version's number.");
    }
    const name = `${WorkflowService.typeName}.RestoreVersion`;
    return await sendNamed(context, given, { name, request: { ...reference, version } }, (reply) => {
      context.output.value(reply, `published ${reference.workflow} v${reply["version"]}`);
      return exitCodes.done;
    });
  },
};

type Reference = { readonly workflow: string; readonly slug?: string };

/** A path that is there names the workflows of its files; any other word is an alias or an id. */
async function referencesOf(word: string, { settings: { slug } }: Context): Promise<readonly Reference[]> {
  if (!(await isThere(word))) return [{ workflow: word, ...(slug !== undefined && { slug }) }];
  const files = await readWorkflowFiles([word]);
  const errors = errorsOf(files.flatMap(({ problems }) => problems));
  if (errors.length > 0) throw usageError(`Files are broken:\n${errors.map(problemLine).join("\n")}`);
  return files.map(({ header }) => ({ workflow: header.alias, slug: header.slug }));
}
