import { readdir, readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { CliError } from "../said/cli-error.ts";
import { problemAt } from "./file-problem.ts";
import { readWorkflowFile, type WorkflowFile } from "./workflow-file.ts";

/** Lies beside workflow files, for editors. */
export const schemaName = "workflow.schema.json";

const extensions = [".yaml", ".yml", ".json"];

/** Reads files, and all workflow files in folders, at any depth. Two files of one workflow are a problem of the second. */
export async function readWorkflowFiles(paths: readonly string[]): Promise<readonly WorkflowFile[]> {
  const names = (await Promise.all(paths.map(filesOf))).flat();
  const files = await Promise.all(names.map(async (name) => readWorkflowFile(name, await readFile(name, "utf8"))));
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

/** Names a workflow among files, as `asana/create-task`. */
export function keyOfFile({ header }: WorkflowFile): string {
  return `${header.slug}/${header.alias}`;
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
    const names = await readdir(path, { recursive: true });
    const found = names.filter((name) => extensions.includes(extname(name)) && !name.endsWith(schemaName));
    return found
      .filter((name) => !name.split("/").some((part) => part.startsWith(".")))
      .sort()
      .map((name) => join(path, name));
  } catch (cause) {
    throw new CliError(`${path} cannot be read.`, { cause });
  }
}
