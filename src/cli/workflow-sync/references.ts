import { extname } from "node:path";
import type { Context } from "../command/context.ts";
import { unreadable } from "../input/read-text.ts";
import { usageError } from "../output/cli-error.ts";
import { problemLine } from "../workflow-file/file-problem.ts";
import { extensions, isThere, readWorkflowFiles } from "../workflow-file/workflow-folder.ts";
import { errorsOf } from "./find-problems.ts";

/** Names a workflow to the server. */
export type Reference = { readonly workflow: string; readonly slug?: string };

/** A path stands for the workflows of its files; any other word is an alias or an id. */
export async function referencesOf(word: string, { settings: { slug } }: Context): Promise<readonly Reference[]> {
  if (!(await isPath(word))) {
    return [{ workflow: word, ...(slug !== undefined && { slug }) }];
  }
  const files = await readWorkflowFiles([word]);
  const errors = errorsOf(files.flatMap(({ problems }) => problems));
  if (errors.length > 0) {
    throw usageError(`These files have errors:\n${errors.map(problemLine).join("\n")}`);
  }
  return files.map(({ header }) => ({ workflow: header.alias, slug: header.slug }));
}

/** The one workflow that a word stands for. Throws a usage error for a folder of several. */
export async function referenceOf(word: string, context: Context): Promise<Reference> {
  const [only, more] = await referencesOf(word, context);
  if (only === undefined || more !== undefined) {
    throw usageError(`${word} holds several workflows; name one.`);
  }
  return only;
}

/** Whether a word is a path. Throws CliError for a path that does not exist and cannot be an alias. */
export async function isPath(word: string): Promise<boolean> {
  if (await isThere(word)) {
    return true;
  }
  if (!word.includes("/") && !extensions.includes(extname(word))) {
    return false;
  }
  throw await unreadable(word, Object.assign(new Error(), { code: "ENOENT" }));
}
