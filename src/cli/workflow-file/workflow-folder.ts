import { readdir, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { readText, unreadable } from "../input/read-text.ts";
import { usageError } from "../output/cli-error.ts";
import { type FileProblem, problemAt } from "./file-problem.ts";
import { readWorkflowFile, type WorkflowFile } from "./workflow-file.ts";

/** Lies beside workflow files, for editors. */
export const schemaName = "workflow.schema.json";

/** How the names of workflow files end, and of the files that say what they must answer. */
export const extensions: readonly string[] = [".yaml", ".yml", ".json"];
const caseFile = /\.test\.(ya?ml|json)$/i;

/** Reads files, and all workflow files in folders, at any depth. Two files of one workflow are a problem of the second. */
export async function readWorkflowFiles(paths: readonly string[]): Promise<readonly WorkflowFile[]> {
  const names = (await Promise.all(paths.map(filesOf))).flat();
  if (names.length === 0) {
    throw usageError(
      `There is no workflow file (${extensions.join(", ")}) in ${paths.join(", ")}. See: flowcall workflow new --help`,
    );
  }
  return await readFiles(names);
}

/** The workflow files in a folder, of which there may be none. */
export async function readFolder(path: string): Promise<readonly WorkflowFile[]> {
  return await readFiles(await filesOf(path));
}

async function readFiles(names: readonly string[]): Promise<readonly WorkflowFile[]> {
  const files = await Promise.all(names.map(readFile));
  const firsts = new Map<string, string>();
  return files.map((file) => {
    const key = keyOfFile(file);
    const first = firsts.get(key);
    if (first === undefined) firsts.set(key, file.name);
    const message = `is the workflow ${key} of ${first} too`;
    const problem = problemAt(file, ["alias"], { reason: "ALIAS_TAKEN", message });
    return first === undefined ? file : { ...file, problems: [...file.problems, problem] };
  });
}

/** A file that cannot be read is a broken one among the others. */
async function readFile(name: string): Promise<WorkflowFile> {
  try {
    return readWorkflowFile(name, await readText(name));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const problem: FileProblem = { file: name, severity: "error", field: "", reason: "FILE_UNREADABLE", message };
    return { ...readWorkflowFile(name, "{}"), problems: [problem] };
  }
}

/** Names a workflow among files, as `asana/create-task`. */
export function keyOfFile({ header }: WorkflowFile): string {
  return `${header.slug}/${header.alias}`;
}

/** Where the cases of a workflow's file are, in each format that they may be in. */
export function caseFilesOf(name: string): readonly string[] {
  const stem = join(dirname(name), basename(name, extname(name)));
  return extensions.map((extension) => `${stem}.test${extension}`);
}

/** The paths of all files below a folder, from there. A link to a folder is not gone into: it may lead round in circles. */
export async function filesBelow(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  const waiting = [""];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    // Node's own way down, with `recursive`, goes into links.
    for (const entry of await readdir(join(folder, next), { withFileTypes: true })) {
      const path = join(next, entry.name);
      if (entry.isDirectory()) waiting.push(path);
      else found.push(path);
    }
  }
  return found;
}

/** Whether a path is there; else it may be an alias. */
export async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

async function filesOf(path: string): Promise<readonly string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const names = await filesBelow(path);
    const found = names.filter((name) => {
      const isWorkflow = extensions.includes(extname(name).toLowerCase()) && !caseFile.test(name);
      return isWorkflow && !name.endsWith(schemaName);
    });
    return found
      .filter((name) => !name.split("/").some((part) => part.startsWith(".") || part === "node_modules"))
      .sort()
      .map((name) => join(path, name));
  } catch (cause) {
    throw await unreadable(path, cause);
  }
}
