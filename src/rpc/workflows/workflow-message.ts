import { create, type JsonObject } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { readMessage } from "../../domain/json/json-structs.ts";
import type { SavedDraft, VersionRecord, WorkflowRecord, WorkflowReference } from "../../domain/workflow.ts";
import type { Findings } from "../../engine/definitions.ts";
import { type ApiCallTrigger, NodeSchema, type WorkflowDefinition } from "../../gen/flowcall/v1/definition_pb.ts";
import { DraftSchema, WorkflowSchema, WorkflowVersionSchema } from "../../gen/flowcall/v1/workflow_pb.ts";
import { etagOf } from "../chain/revision-etag.ts";

/** The reference by which a request names a workflow. */
export function referenceOf({
  workflow,
  slug,
}: {
  readonly workflow: string;
  readonly slug?: string | undefined;
}): WorkflowReference {
  return slug === undefined ? { workflow } : { workflow, slug };
}

/**
 * A workflow, with the fields of its "API Call" panel where that is given.
 *
 * @param baseUrl what the paths of the API are below
 */
export function workflowMessage(workflow: WorkflowRecord, baseUrl: string, panel?: ApiCallTrigger) {
  return create(WorkflowSchema, {
    id: workflow.id,
    slug: workflow.slug,
    name: workflow.name,
    method: "POST",
    url: `${baseUrl}/api/v1/workflow/${workflow.alias ?? workflow.id}/execute`,
    etag: etagOf(workflow.revision),
    createTime: timestampFromDate(workflow.createTime),
    updateTime: timestampFromDate(workflow.updateTime),
    ...(workflow.description !== undefined && { description: workflow.description }),
    ...(workflow.alias !== undefined && { alias: workflow.alias }),
    ...(workflow.currentVersion !== undefined && { currentVersion: workflow.currentVersion }),
    ...(panel && { payload: panel.payload ?? {} }),
    ...(panel?.schema && { schema: panel.schema }),
  });
}

/** The "API Call" panel of a definition that is kept: that of its first Start node, and nothing else of it is read. */
export function panelIn(text: string): ApiCallTrigger | undefined {
  // Written from a WorkflowDefinition.
  const { nodes = [] } = JSON.parse(text) as {
    readonly nodes?: readonly (JsonObject & { readonly start?: JsonObject })[];
  };
  const start = nodes.find(({ start }) => start !== undefined);
  if (start === undefined) {
    return undefined;
  }
  const { kind } = readMessage(NodeSchema, start, { ignoreUnknownFields: true });
  return kind.case === "start" && kind.value.trigger.case === "apiCall" ? kind.value.trigger.value : undefined;
}

export function draftMessage({ workflowId, revision, updateTime }: SavedDraft, definition: WorkflowDefinition) {
  return create(DraftSchema, {
    workflowId,
    definition,
    etag: etagOf(revision),
    updateTime: timestampFromDate(updateTime),
  });
}

export function versionMessage({ id, currentVersion }: WorkflowRecord, { version, createTime }: VersionRecord) {
  return create(WorkflowVersionSchema, {
    workflowId: id,
    version,
    isCurrent: version === currentVersion,
    createTime: timestampFromDate(createTime),
  });
}

/** The fields of what was found wrong with a definition, for a spread. */
export function findingsOf({ errors, warnings, derivedSchema }: Findings) {
  return {
    errors: [...errors],
    warnings: [...warnings],
    ...(derivedSchema !== undefined && { derivedSchema }),
  };
}
