import type { JsonObject } from "@bufbuild/protobuf";
import type { Workflow } from "../../gen/flowcall/v1/workflow_pb.ts";
import type { WorkflowFile } from "../workflow-file/workflow-file.ts";
import { keyOfFile } from "../workflow-file/workflow-folder.ts";
import { type Change, changeJson, changeText, definitionChanges } from "./changes.ts";
import type { RemoteWorkflows } from "./remote-workflows.ts";

/** The change that makes the server's draft equal to one file. */
export type Step = {
  readonly file: WorkflowFile;
  /** Absent if the workflow must be created. */
  readonly workflow?: Workflow;
  /** The draft's etag when the step was planned. */
  readonly etag?: string;
  readonly changes: readonly Change[];
  readonly isPublished: boolean;
};

export type Action = "create" | "update" | "publish" | "none";

/** Compares files with the server, and changes nothing. With `isPublishing` the published version is compared too. */
export async function planOf(
  files: readonly WorkflowFile[],
  remote: RemoteWorkflows,
  isPublishing: boolean,
): Promise<readonly Step[]> {
  return await Promise.all(files.map(async (file) => await stepOf(file, remote, isPublishing)));
}

async function stepOf(file: WorkflowFile, remote: RemoteWorkflows, isPublishing: boolean): Promise<Step> {
  const workflow = remote.find(file);
  if (workflow === undefined) {
    return { file, changes: [], isPublished: isPublishing };
  }
  const { definition, etag } = await remote.draft(workflow);
  const changes = [
    ...headerChanges(workflow, file),
    ...(definition === undefined ? [] : definitionChanges(definition, file.definition)),
  ];
  const isPublished = isPublishing && (changes.length > 0 || !(await isCurrent(workflow, file, remote)));
  return { file, workflow, etag, changes, isPublished };
}

export function actionOf({ workflow, changes, isPublished }: Step): Action {
  if (workflow === undefined) {
    return "create";
  }
  if (changes.length > 0) {
    return "update";
  }
  return isPublished ? "publish" : "none";
}

/** Whether the published version equals the file. An old server without GetVersion is taken to have published its draft. */
async function isCurrent(workflow: Workflow, file: WorkflowFile, remote: RemoteWorkflows): Promise<boolean> {
  if (workflow.currentVersion === undefined) {
    return false;
  }
  const published = await remote.published(workflow);
  return published === undefined || definitionChanges(published, file.definition).length === 0;
}

function headerChanges({ name, description = "" }: Workflow, { header }: WorkflowFile): readonly Change[] {
  const after = header.description ?? "";
  return [
    ...(name === header.name ? [] : [{ path: "name", before: name, after: header.name }]),
    ...(description === after ? [] : [{ path: "description", before: description, after }]),
  ];
}

export function stepText(step: Step): string {
  const action = actionOf(step);
  const publish = step.isPublished && action !== "publish" ? " and publish" : "";
  const changes = step.changes.map((change) => `\n  ${changeText(change).replaceAll("\n", "\n  ")}`);
  return `${action === "none" ? "keep" : action}${publish} ${keyOfFile(step.file)}${changes.join("")}`;
}

export function stepJson(step: Step): JsonObject {
  return {
    workflow: keyOfFile(step.file),
    file: step.file.name,
    action: actionOf(step),
    publish: step.isPublished,
    changes: step.changes.map(changeJson),
  };
}
