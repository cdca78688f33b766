import { readdir, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { readText, unreadable } from "../input/read-text.ts";
import { usageError } from "../output/cli-error.ts";
import { type FileProblem, problemAt } from "./file-problem.ts";
import { readWorkflowFile, type WorkflowFile } from "./workflow-file.ts";

/** The JSON Schema that lies beside workflow files, for editors. */
export const schemaName = "workflow.schema.json";

/** The extensions of workflow files. Files with test cases have `.test` before it. */
export const extensions: readonly string[] = [".yaml", ".yml", ".json"];
const caseFile = /\.test\.(ya?ml|json)$/i;

/** Reads files, and all workflow files below folders. If two files are the same workflow, the second has a problem. */
export async function readWorkflowFiles(paths: readonly string[]): Promise<readonly WorkflowFile[]> {
  const names = (await Promise.all(paths.map(filesOf))).flat();
  if (names.length === 0) {
    throw usageError(
      `There is no workflow file (${extensions.join(", ")}) in ${paths.join(", ")}. See: flowcall workflow new --help`,
    );
  }
  return await readFiles(names);
}

/** Reads the workflow files of a folder, which may be empty. */
export async function readFolder(path: string): Promise<readonly WorkflowFile[]> {
  return await readFiles(await filesOf(path));
}

async function readFiles(names: readonly string[]): Promise<readonly WorkflowFile[]> {
  const files = await Promise.all(names.map(readFile));
  const firsts = new Map<string, string>();
  return files.map((file) => {
    const key = keyOfFile(file);
    const first = firsts.get(key);
    if (first === undefined) {
      firsts.set(key, file.name);
    }
    const message = `is the same workflow, ${key}, as ${first}`;
    const problem = problemAt(file, ["alias"], { reason: "ALIAS_TAKEN", message });
    return first === undefined ? file : { ...file, problems: [...file.problems, problem] };
  });
}

/** Turns a file that cannot be read into one with a problem. */
async function readFile(name: string): Promise<WorkflowFile> {
  try {
    return readWorkflowFile(name, await readText(name));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const problem: FileProblem = { file: name, severity: "error", field: "", reason: "FILE_UNREADABLE", message };
    return { ...readWorkflowFile(name, "{}"), problems: [problem] };
  }
}

/** The name of a file's workflow, as `asana/create-task`. */
export function keyOfFile({ header }: WorkflowFile): string {
  return `${header.slug}/${header.alias}`;
}

/** The possible paths of a workflow file's test cases. */
export function caseFilesOf(name: string): readonly string[] {
  const stem = join(dirname(name), basename(name, extname(name)));
  return extensions.map((extension) => `${stem}.test${extension}`);
}

/** The relative paths of all files below a folder. Links to folders are not followed, since they may form a circle. */
export async function filesBelow(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  const waiting = [""];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    // readdir's own `recursive` would follow links.
    for (const entry of await readdir(join(folder, next), { withFileTypes: true })) {
      const path = join(next, entry.name);
      if (entry.isDirectory()) {
        waiting.push(path);
      } else {
        found.push(path);
      }
    }
  }
  return found;
}

/** Whether a path exists. */
export async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

async function filesOf(path: string): Promise<readonly string[]> {
  try {
    if (!(await stat(path)).isDirectory()) {
      return [path];
    }
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
