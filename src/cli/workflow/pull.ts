import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { dirname, extname, join, relative } from "node:path";
import { create, type JsonObject, toJson } from "@bufbuild/protobuf";
import { WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import type { Workflow } from "../../gen/flowcall/v1/workflow_pb.ts";
import { type Command, slugOption } from "../command/command.ts";
import { isConfirmed } from "../command/confirm.ts";
import { CliError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { mergedText } from "../workflow-file/merged-text.ts";
import { schemaFile } from "../workflow-file/schema-file.ts";
import { type Header, type WorkflowFile, workflowFileText } from "../workflow-file/workflow-file.ts";
import { isThere, readFolder, schemaName } from "../workflow-file/workflow-folder.ts";
import { definitionChanges } from "../workflow-sync/changes.ts";
import { RemoteWorkflows } from "../workflow-sync/remote-workflows.ts";

export const pull: Command = {
  name: "workflow pull",
  summary: "Writes the server's drafts into files, SLUG/ALIAS.yaml; files that are equal stay as they are.",
  positionals: ["FOLDER", "ALIAS|ID...?"],
  options: {
    ...slugOption,
    yes: { type: "boolean", short: "y", help: "overwrites files without asking" },
    "dry-run": { type: "boolean", help: "only shows what would be written" },
  },
  example: "flowcall workflow pull flows --slug asana",

  async run(given, context) {
    const { output } = context;
    const [folder = "", ...wanted] = given.positionals;
    const slug = given.text("slug");
    const remote = await RemoteWorkflows.list(context);
    const chosen = remote.all.filter(({ id, slug: own, alias }) => {
      const isWanted = wanted.length === 0 || wanted.includes(id) || (alias !== undefined && wanted.includes(alias));
      return isWanted && (slug === undefined || slug === own);
    });
    const missing = wanted.filter((word) => !chosen.some(({ id, alias }) => id === word || alias === word));
    if (missing.length > 0) {
      throw new CliError(`There is no workflow ${missing.join(", ")}.`);
    }
    const files = (await isThere(folder)) ? await readFolder(folder) : [];
    const writes = await Promise.all(chosen.map((workflow) => writeOf(workflow, remote, { folder, files })));
    const due = writes.filter(({ action }) => action !== "none");
    const isDry = given.isSet("dry-run");
    const overwritten = due.filter(({ action }) => action === "update");
    for (const { file } of overwritten) {
      output.note(`overwrite ${file}`);
    }
    if (overwritten.length > 0 && !isDry && !given.isSet("yes") && !(await isConfirmed(context))) {
      output.note("Nothing was written.");
      return exitCodes.error;
    }
    if (!isDry && due.length > 0) {
      await write(folder, due);
    }
    const rows: readonly JsonObject[] = writes.map(({ workflow, file, action }) => ({ workflow, file, action }));
    if (output.format === "text") {
      output.value(null, due.map(({ file, action }) => `${action} ${file}`).join("\n"));
    } else {
      output.table(rows, []);
    }
    return exitCodes.done;
  },
};

type Write = {
  readonly workflow: string;
  readonly file: string;
  readonly action: "create" | "update" | "none";
  readonly text: string;
};

type Place = { readonly folder: string; readonly files: readonly WorkflowFile[] };

async function writeOf(workflow: Workflow, remote: RemoteWorkflows, { folder, files }: Place): Promise<Write> {
  const { definition = create(WorkflowDefinitionSchema) } = await remote.draft(workflow);
  const { id, name, slug, description, alias = id } = workflow;
  // These names become a path: a server must not write outside the folder (path traversal, CWE-22).
  for (const part of [slug, alias]) {
    if (!/^[A-Za-z0-9][\w.-]*$/.test(part)) {
      throw new CliError(`${part} cannot be the name of a file.`);
    }
  }
  const header: Header = { name, slug, alias, ...(description !== undefined && { description }) };
  const existing = files.find((file) => file.header.slug === slug && file.header.alias === alias);
  const file = existing?.name ?? join(folder, slug, `${alias}.yaml`);
  const isSame =
    existing?.problems.length === 0 &&
    existing.header.name === name &&
    (existing.header.description ?? "") === (description ?? "") &&
    definitionChanges(existing.definition, definition).length === 0;
  const schema = relative(dirname(file), join(folder, schemaName));
  // The JSON of a message of ours is an object.
  const json = toJson(WorkflowDefinitionSchema, definition) as JsonObject;
  const isJson = extname(file).toLowerCase() === ".json";
  const kept = existing === undefined || isJson ? undefined : mergedText(existing, header, json);
  const text = kept ?? workflowFileText(header, json, schema, isJson);
  return {
    workflow: `${slug}/${alias}`,
    file,
    action: existing === undefined ? "create" : isSame ? "none" : "update",
    text,
  };
}

/** Writes the files, and the schema beside them, so that editors find it offline. */
async function write(folder: string, writes: readonly Write[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  await copyFile(schemaFile, join(folder, schemaName));
  for (const { file, text } of writes) {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
}
