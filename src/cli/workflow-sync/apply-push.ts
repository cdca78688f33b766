import type { JsonObject } from "@bufbuild/protobuf";
import type { Context } from "../command/context.ts";
import { failureText } from "../output/failure.ts";
import { readFailure } from "../output/read-failure.ts";
import { type FileProblem, problemLine, problemOfServer } from "../workflow-file/file-problem.ts";
import { keyOfFile } from "../workflow-file/workflow-folder.ts";
import type { Prepared } from "./prepare-push.ts";
import { type Action, type Step, stepJson } from "./push-plan.ts";
import type { RemoteWorkflows } from "./remote-workflows.ts";

/**
 * Carries out a plan, one workflow after the other, and yields each result. If the server refuses one, the others go on.
 */
export async function* applyPush(
  { plan, remote, newSlugs }: Omit<Prepared, "broken">,
  { output }: Context,
): AsyncIterable<JsonObject> {
  for (const slug of newSlugs) {
    await remote.createIntegration(slug);
  }
  for (const step of plan) {
    try {
      const version = await applyStep(step, remote);
      yield { ...stepJson(step), ...(version !== undefined && { version }) };
    } catch (error) {
      const failure = await readFailure(error);
      const problems = failure.problems.map((problem): FileProblem => problemOfServer(step.file, problem, "error"));
      output.note(
        problems.length > 0 ? problems.map(problemLine).join("\n") : `${keyOfFile(step.file)}: ${failureText(failure)}`,
      );
      yield { ...stepJson(step), failed: failure.reason ?? failure.message };
    }
  }
}

/** Answers the published version, if one was published. */
async function applyStep(step: Step, remote: RemoteWorkflows): Promise<number | undefined> {
  const { file, changes, etag, isPublished } = step;
  const workflow = step.workflow ?? (await remote.create(file));
  const isRenamed = changes.some(({ path }) => path === "name" || path === "description");
  const isRewritten = changes.some(({ path }) => path !== "name" && path !== "description");
  if (isRenamed) {
    await remote.rename(workflow, file.header);
  }
  if (isRewritten || step.workflow === undefined) {
    await remote.save(workflow, file.definition, etag);
  }
  return isPublished ? (await remote.publish(workflow)).version : undefined;
}

const done: Readonly<Record<Action, string>> = {
  create: "created",
  update: "updated",
  publish: "published",
  none: "unchanged",
};

export function resultText({ workflow, action, version, failed }: JsonObject): string {
  if (failed !== undefined) {
    return `failed ${workflow}: ${failed}`;
  }
  const word = Object.entries(done).find(([name]) => name === action)?.[1] ?? "";
  return `${word} ${workflow}${version === undefined ? "" : ` v${version}`}`;
}
