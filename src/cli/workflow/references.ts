import { problemLine } from "../file/file-problem.ts";
import { errorsOf } from "../file/validation.ts";
import { isThere, readWorkflowFiles } from "../file/workflow-folder.ts";
import type { Context } from "../frame/context.ts";
import { usageError } from "../said/cli-error.ts";

/** What names a workflow to the server. */
export type Reference = { readonly workflow: string; readonly slug?: string };

/** A path that is there names the workflows of its files; any other word is an alias or an id. */
export async function referencesOf(word: string, { settings: { slug } }: Context): Promise<readonly Reference[]> {
  if (!(await isThere(word))) return [{ workflow: word, ...(slug !== undefined && { slug }) }];
  const files = await readWorkflowFiles([word]);
  const errors = errorsOf(files.flatMap(({ problems }) => problems));
  if (errors.length > 0) throw usageError(`Files are broken:\n${errors.map(problemLine).join("\n")}`);
  return files.map(({ header }) => ({ workflow: header.alias, slug: header.slug }));
}
