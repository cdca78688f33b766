import type { Context } from "../command/context.ts";
import { CliError } from "../output/cli-error.ts";
import { problemLine } from "../workflow-file/file-problem.ts";
import { readFolder, readWorkflowFiles } from "../workflow-file/workflow-folder.ts";
import { errorsOf, problemsOf } from "./find-problems.ts";
import { planOf, type Step } from "./push-plan.ts";
import { RemoteWorkflows } from "./remote-workflows.ts";

export type Prepared = {
  readonly plan: readonly Step[];
  readonly remote: RemoteWorkflows;
  /** The integrations to create first. */
  readonly newSlugs: readonly string[];
  /** The names of files with errors, which are left out. */
  readonly broken: readonly string[];
};

export type Preparing = {
  /** Also publish. */
  readonly isPublishing?: boolean;
  /** Create missing integrations. */
  readonly isCreating?: boolean;
  /** Go on with the good files, and only print the problems of the others. */
  readonly isLenient?: boolean;
};

/**
 * Reads and checks all files. Throws CliError with all problems if one file has errors, so that nothing is changed, unless
 * `isLenient`.
 */
export async function preparePush(
  paths: readonly string[],
  context: Context,
  { isPublishing = false, isCreating = false, isLenient = false }: Preparing = {},
): Promise<Prepared> {
  const files = isLenient ? (await Promise.all(paths.map(readFolder))).flat() : await readWorkflowFiles(paths);
  const broken = errorsOf(files.flatMap(({ problems }) => problems));
  const remote = await RemoteWorkflows.list(context).catch((error: unknown) => {
    // The errors of the files matter more than that the server cannot be reached.
    if (broken.length === 0) {
      throw error;
    }
    return undefined;
  });
  const problems = await problemsOf(files, remote, { isCreating });
  const errors = errorsOf(problems);
  if (remote === undefined || (errors.length > 0 && !isLenient)) {
    throw new CliError(`Nothing was changed, because these files have errors:\n${errors.map(problemLine).join("\n")}`);
  }
  for (const problem of problems) {
    context.output.note(problemLine(problem));
  }
  const good = files.filter(({ name }) => !errors.some(({ file }) => file === name));
  const slugs = isCreating ? await remote.integrations() : [];
  const wanted = isCreating ? good.filter((file) => remote.find(file) === undefined) : [];
  const newSlugs = [...new Set(wanted.map(({ header }) => header.slug))].filter((slug) => !slugs.includes(slug));
  return {
    plan: await planOf(good, remote, isPublishing),
    remote,
    newSlugs,
    broken: [...new Set(errors.map(({ file }) => file))],
  };
}
