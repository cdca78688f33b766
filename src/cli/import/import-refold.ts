import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join, relative } from "node:path";
import { type JsonObject, toJson } from "@bufbuild/protobuf";
import { WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import {
  ImportService,
  ImportWorkflowRequest_Format,
  type ImportWorkflowResponse,
  ImportWorkflowResponseSchema,
  ImportIssue_Severity as Severity,
} from "../../gen/flowcall/v1/import_pb.ts";
import type { Client } from "../client/client.ts";
import { type Command, slugOption } from "../command/command.ts";
import type { Context } from "../command/context.ts";
import type { Arguments } from "../command-line/arguments.ts";
import { readStdin, readText } from "../input/read-text.ts";
import { CliError, usageError } from "../output/cli-error.ts";
import { type ExitCode, exitCodes } from "../output/exit-codes.ts";
import { type Failure, failureJson, failureText } from "../output/failure.ts";
import { readFailure } from "../output/read-failure.ts";
import { schemaFile } from "../workflow-file/schema-file.ts";
import { workflowFileText } from "../workflow-file/workflow-file.ts";
import { isThere, schemaName } from "../workflow-file/workflow-folder.ts";
import { reportText } from "./report-text.ts";

export const importRefold: Command = {
  name: "import refold",
  summary: "Makes drafts of workflows that Refold exported, and reports what differs and what is missing.",
  positionals: ["FILE..."],
  options: {
    ...slugOption,
    alias: { type: "string", value: "ALIAS", help: "the workflow's alias, where one file is imported" },
    workflow: { type: "string", value: "ALIAS|ID", help: "replaces the draft of this workflow" },
    out: { type: "string", value: "FOLDER", help: "writes FOLDER/SLUG/ALIAS.yaml in place of drafts" },
    "dry-run": { type: "boolean", help: "only reports" },
    check: { type: "boolean", help: "only reports, and exits with 1 where a file has warnings or cannot be imported" },
  },
  example: "flowcall import refold export.json --slug shop --dry-run",

  async run(given, context) {
    const files = given.positionals;
    const isOfOne = given.text("alias") !== undefined || given.text("workflow") !== undefined;
    if (isOfOne && files.length > 1) {
      throw usageError("--alias and --workflow are for one file.");
    }
    let exitCode: ExitCode = exitCodes.done;
    const note = (result: FileImport) => {
      const isToDo = result.kind === "failed" || (given.isSet("check") && hasWarnings(result.reply));
      exitCode = isToDo ? exitCodes.error : exitCode;
    };
    const json = (result: FileImport) => {
      note(result);
      return resultJson(result);
    };
    const text = (result: FileImport) => {
      note(result);
      return resultText(result);
    };
    await context.output.stream(imports(files, given, context), json, text);
    return exitCode;
  },
};

/** What became of a file: the server's reply, with the file that was written, or its refusal. */
type FileImport = { readonly file: string } & (
  | { readonly kind: "imported"; readonly reply: ImportWorkflowResponse; readonly written?: string }
  | { readonly kind: "failed"; readonly failure: Failure }
);

async function* imports(files: readonly string[], given: Arguments, context: Context): AsyncIterable<FileImport> {
  const client = await context.connect();
  for (const file of files) {
    const source = file === "-" ? await readStdin(context.stdin) : await readText(file);
    yield await importOf(file, source, { client, given, context });
  }
}

type Tools = { readonly client: Client; readonly given: Arguments; readonly context: Context };

async function importOf(file: string, source: string, { client, given, context }: Tools): Promise<FileImport> {
  const [out, workflow, alias] = ["out", "workflow", "alias"].map((name) => given.text(name));
  const { slug } = context.settings;
  const isDry = out !== undefined || given.isSet("dry-run") || given.isSet("check");
  const request = {
    format: ImportWorkflowRequest_Format.REFOLD,
    source,
    ...(slug !== undefined && { slug }),
    ...(alias !== undefined && { alias }),
    ...(workflow !== undefined && { workflow }),
    ...(isDry && { dryRun: true }),
  };
  let reply: ImportWorkflowResponse;
  try {
    reply = await client.unary(ImportService.method.importWorkflow, request, { signal: context.signal });
  } catch (error) {
    const failure = await readFailure(error);
    if (failure.reason === undefined) {
      throw error;
    }
    return { file, kind: "failed", failure };
  }
  const isWriting = out !== undefined && !given.isSet("dry-run") && !given.isSet("check");
  const written = isWriting
    ? await write(reply, { folder: out, slug, alias: alias ?? reply.alias ?? nameOf(file) })
    : undefined;
  return { file, kind: "imported", reply, ...(written !== undefined && { written }) };
}

/** A file's name as an alias. */
function nameOf(file: string): string {
  return basename(file, extname(file)).replaceAll(/[^\w.-]/g, "-");
}

type Place = { readonly folder: string; readonly slug: string | undefined; readonly alias: string };

async function write(reply: ImportWorkflowResponse, { folder, slug = reply.slug, alias }: Place): Promise<string> {
  if (slug === undefined) {
    throw usageError("The export names no integration. Name one by --slug.");
  }
  // These names become a path, and the export may say what it wants (path traversal, CWE-22).
  for (const part of [slug, alias]) {
    if (!/^[A-Za-z0-9][\w.-]{0,127}$/.test(part)) {
      throw new CliError(`${part} cannot be the name of a file. Name another by --slug or --alias.`);
    }
  }
  const file = join(folder, slug, `${alias}.yaml`);
  if (await isThere(file)) {
    throw new CliError(`${file} exists already. Remove it, or name another by --alias.`);
  }
  const { name, description, definition } = reply;
  const header = { name, slug, alias, ...(description !== undefined && { description }) };
  // The JSON of a message of ours is an object.
  const json = (definition === undefined ? {} : toJson(WorkflowDefinitionSchema, definition)) as JsonObject;
  await mkdir(dirname(file), { recursive: true });
  await copyFile(schemaFile, join(folder, schemaName));
  await writeFile(file, workflowFileText(header, json, relative(dirname(file), join(folder, schemaName)), false), {
    flag: "wx",
  });
  return file;
}

function hasWarnings({ issues, errors }: ImportWorkflowResponse): boolean {
  return errors.length > 0 || issues.some(({ severity }) => severity === Severity.WARNING);
}

function resultJson(result: FileImport): JsonObject {
  if (result.kind === "failed") {
    return { file: result.file, ...failureJson(result.failure) };
  }
  // The JSON of a message of ours is an object.
  const reply = toJson(ImportWorkflowResponseSchema, result.reply) as JsonObject;
  return { file: result.file, ...(result.written !== undefined && { written: result.written }), ...reply };
}

function resultText(result: FileImport): string {
  return result.kind === "failed"
    ? `${result.file}  FAILED\n${failureText(result.failure)}`
    : reportText(result.file, result.reply, result.written);
}
