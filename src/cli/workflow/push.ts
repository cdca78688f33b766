import { once } from "node:events";
import { createInterface } from "node:readline";
import type { JsonObject } from "@bufbuild/protobuf";
import { type FileProblem, problemLine, problemOfServer } from "../file/file-problem.ts";
import { errorsOf, problemsOf } from "../file/validation.ts";
import { keyOfFile, readWorkflowFiles } from "../file/workflow-folder.ts";
import type { Command } from "../frame/command.ts";
import type { Context } from "../frame/context.ts";
import { CliError, usageError } from "../said/cli-error.ts";
import { type ExitCode, exitCodes } from "../said/exit-codes.ts";
import { failureOf, failureText } from "../said/failure.ts";
import { type Action, actionOf, planOf, type Step, stepJson, stepText } from "./plan.ts";
import { RemoteWorkflows } from "./remote.ts";

export const push: Command = {
  name: "workflow push",
  summary: "Makes the server's drafts as the files say, after it has shown what that changes.",
  positionals: ["FOLDER|FILE..."],
  options: {
    publish: { type: "boolean", help: "publishes what is not yet published as the files say" },
    yes: { type: "boolean", short: "y", help: "does not ask" },
    "dry-run": { type: "boolean", help: "shows what would change, and changes nothing" },
  },
  example: "flowcall workflow push flows --publish --yes",

  async run(given, context) {
    const { output } = context;
    const prepared = await prepare(given.positionals, context, given.isSet("publish"));
    const due = prepared.plan.filter((step) => actionOf(step) !== "none");
    if (given.isSet("dry-run")) {
      if (output.format === "text") output.value(null, due.map(stepText).join("\n"));
      else output.table(due.map(stepJson), []);
      return exitCodes.done;
    }
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

export type Prepared = { readonly plan: readonly Step[]; readonly remote: RemoteWorkflows };

/** Reads and checks all files. Throws CliError with every problem where one is broken: then nothing is changed at all. */
export async function prepare(paths: readonly string[], context: Context, isPublishing: boolean): Promise<Prepared> {
  const files = await readWorkflowFiles(paths);
  const broken = errorsOf(files.flatMap(({ problems }) => problems));
  const remote = await RemoteWorkflows.list(context).catch((error: unknown) => {
    // What is broken is worth more than that nobody can be asked.
    if (broken.length === 0) throw error;
    return undefined;
  });
  const problems = await problemsOf(files, remote);
  const errors = errorsOf(problems);
  if (remote === undefined || errors.length > 0) {
    throw new CliError(`Nothing was changed, since files are broken:\n${errors.map(problemLine).join("\n")}`);
  }
  for (const warning of problems) context.output.note(problemLine(warning));
  return { plan: await planOf(files, remote, isPublishing), remote };
}

/**
 * Does what a plan says, a workflow after the other, and yields what came of each; one that the server refuses does not
 * keep the others from theirs.
 */
export async function* apply({ plan, remote }: Prepared, { output }: Context): AsyncIterable<JsonObject> {
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

/** Asks at a terminal. Throws a usage error where nobody is there to answer. */
export async function isConfirmed({ stdin, output }: Context): Promise<boolean> {
  if (stdin.isTTY !== true || output.stderr.isTTY !== true) {
    throw usageError("Nothing was changed, since nobody is there to ask: --yes does it, --dry-run only shows it.");
  }
  output.stderr.write("Do it? [y/N] ");
  const lines = createInterface({ input: stdin });
  const [answer] = await Promise.race([once(lines, "line"), once(lines, "close").then(() => [""])]);
  lines.close();
  return /^y(es)?$/i.test(String(answer).trim());
}
