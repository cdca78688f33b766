import type { JsonObject } from "@bufbuild/protobuf";
import { type FileProblem, problemLine, problemOfServer } from "../file/file-problem.ts";
import { errorsOf, problemsOf } from "../file/validation.ts";
import { keyOfFile, readFolder, readWorkflowFiles } from "../file/workflow-folder.ts";
import type { Command } from "../frame/command.ts";
import type { Context } from "../frame/context.ts";
import { CliError } from "../said/cli-error.ts";
import { type ExitCode, exitCodes } from "../said/exit-codes.ts";
import { failureOf, failureText } from "../said/failure.ts";
import { isConfirmed } from "./confirm.ts";
import { type Action, actionOf, planOf, type Step, stepJson, stepText } from "./plan.ts";
import { RemoteWorkflows } from "./remote.ts";

export const push: Command = {
  name: "workflow push",
  summary: "Makes the server's drafts as the files say, after it has shown what that changes.",
  positionals: ["FOLDER|FILE..."],
  options: {
    publish: { type: "boolean", help: "publishes what is not yet published as the files say" },
    create: { type: "boolean", help: "makes the integrations that are not there; needs the scope admin" },
    yes: { type: "boolean", short: "y", help: "does not ask" },
    "dry-run": { type: "boolean", help: "shows what would change, and changes nothing" },
  },
  example: "flowcall workflow push flows --publish --yes",

  async run(given, context) {
    const { output } = context;
    const prepared = await prepare(given.positionals, context, {
      isPublishing: given.isSet("publish"),
      isCreating: given.isSet("create"),
    });
    const due = prepared.plan.filter((step) => actionOf(step) !== "none");
    if (given.isSet("dry-run")) {
      if (output.format === "text") output.value(null, due.map(stepText).join("\n"));
      else output.table(due.map(stepJson), []);
      return exitCodes.done;
    }
    for (const slug of prepared.newSlugs) output.note(`create the integration ${slug}`);
    for (const step of due) output.note(stepText(step));
    if (due.length > 0 && !given.isSet("yes") && !(await isConfirmed(context))) {
      output.note("Nothing was changed.");
      return exitCodes.error;
    }
    let exitCode: ExitCode = exitCodes.done;
    const results = apply(prepared, context);
    const json = (result: JsonObject) => {
      if (result["failed"] !== undefined) exitCode = exitCodes.error;
      return result;
    };
    await output.stream(results, json, (result) => resultText(json(result)));
    return exitCode;
  },
};

export type Prepared = {
  readonly plan: readonly Step[];
  readonly remote: RemoteWorkflows;
  /** The integrations that are made before. */
  readonly newSlugs: readonly string[];
  /** The names of files that are left out, since they are broken. */
  readonly broken: readonly string[];
};

export type Preparing = {
  /** What calls run is to be as the files are too. */
  readonly isPublishing?: boolean;
  /** A missing integration is made. */
  readonly isCreating?: boolean;
  /** The good files of broken ones are gone on with, and the problems are only told. */
  readonly isLenient?: boolean;
};

/**
 * Reads and checks all files. Throws CliError with every problem where one is broken: then nothing is changed at all,
 * unless it is lenient.
 */
export async function prepare(
  paths: readonly string[],
  context: Context,
  { isPublishing = false, isCreating = false, isLenient = false }: Preparing = {},
): Promise<Prepared> {
  const files = isLenient ? (await Promise.all(paths.map(readFolder))).flat() : await readWorkflowFiles(paths);
  const broken = errorsOf(files.flatMap(({ problems }) => problems));
  const remote = await RemoteWorkflows.list(context).catch((error: unknown) => {
    // What is broken is worth more than that nobody can be asked.
    if (broken.length === 0) throw error;
    return undefined;
  });
  const problems = await problemsOf(files, remote, { isCreating });
  const errors = errorsOf(problems);
  if (remote === undefined || (errors.length > 0 && !isLenient)) {
    throw new CliError(`Nothing was changed, since files are broken:\n${errors.map(problemLine).join("\n")}`);
  }
  for (const problem of problems) context.output.note(problemLine(problem));
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

/**
 * Does what a plan says, a workflow after the other, and yields what came of each; one that the server refuses does not
 * keep the others from theirs.
 */
export async function* apply(
  { plan, remote, newSlugs }: Omit<Prepared, "broken">,
  { output }: Context,
): AsyncIterable<JsonObject> {
  for (const slug of newSlugs) await remote.createIntegration(slug);
  for (const step of plan) {
    try {
      const version = await applyStep(step, remote);
      yield { ...stepJson(step), ...(version !== undefined && { version }) };
    } catch (error) {
      const failure = await failureOf(error);
      const told = failure.problems.map((problem): FileProblem => problemOfServer(step.file, problem, "error"));
      output.note(
        told.length > 0 ? told.map(problemLine).join("\n") : `${keyOfFile(step.file)}: ${failureText(failure)}`,
      );
      yield { ...stepJson(step), failed: failure.reason ?? failure.message };
    }
  }
}

/** Answers the version that was published, if one was. */
async function applyStep(step: Step, remote: RemoteWorkflows): Promise<number | undefined> {
  const { file, changes, etag, isPublished } = step;
  const workflow = step.workflow ?? (await remote.create(file));
  const isRenamed = changes.some(({ path }) => path === "name" || path === "description");
  const isRewritten = changes.some(({ path }) => path !== "name" && path !== "description");
  if (isRenamed) await remote.rename(workflow, file.header);
  if (isRewritten || step.workflow === undefined) await remote.save(workflow, file.definition, etag);
  return isPublished ? (await remote.publish(workflow)).version : undefined;
}

const done: Readonly<Record<Action, string>> = {
  create: "created",
  update: "updated",
  publish: "published",
  none: "unchanged",
};

export function resultText({ workflow, action, version, failed }: JsonObject): string {
  if (failed !== undefined) return `failed ${workflow}: ${failed}`;
  const word = Object.entries(done).find(([name]) => name === action)?.[1] ?? "";
  return `${word} ${workflow}${version === undefined ? "" : ` v${version}`}`;
}
