import { extname } from "node:path";
import { problemLine } from "../file/file-problem.ts";
import { errorsOf } from "../file/validation.ts";
import { extensions, isThere, readWorkflowFiles } from "../file/workflow-folder.ts";
import type { Context } from "../frame/context.ts";
import { usageError } from "../said/cli-error.ts";
import { unreadable } from "../said/file-text.ts";

/** What names a workflow to the server. */
export type Reference = { readonly workflow: string; readonly slug?: string };

/** A path names the workflows of its files; any other word is an alias or an id. */
export async function referencesOf(word: string, { settings: { slug } }: Context): Promise<readonly Reference[]> {
  if (!(await isPath(word))) return [{ workflow: word, ...(slug !== undefined && { slug }) }];
  const files = await readWorkflowFiles([word]);
  const errors = errorsOf(files.flatMap(({ problems }) => problems));
  if (errors.length > 0) throw usageError(`Files are broken:\n${errors.map(problemLine).join("\n")}`);
  return files.map(({ header }) => ({ workflow: header.alias, slug: header.slug }));
}

/** The only workflow that a word names. Throws a usage error for a folder of several. */
export async function referenceOf(word: string, context: Context): Promise<Reference> {
  const [only, more] = await referencesOf(word, context);
  if (only === undefined || more !== undefined) throw usageError(`${word} holds several workflows; name one.`);
  return only;
}

/** Whether a word is a path. One that cannot be an alias and is not there is told so. */
export async function isPath(word: string): Promise<boolean> {
  if (await isThere(word)) return true;
  if (!word.includes("/") && !extensions.includes(extname(word))) return false;
  throw await unreadable(word, Object.assign(new Error(), { code: "ENOENT" }));
}
