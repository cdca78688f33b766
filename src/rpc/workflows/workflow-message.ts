import { create, fromJsonString } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Call } from "../../domain/http/call.ts";
import type { Reach } from "../../domain/principal.ts";
import type { DraftRecord, VersionRecord, WorkflowRecord, WorkflowReference } from "../../domain/workflow.ts";
import {
  type ApiCallTrigger,
  type WorkflowDefinition,
  WorkflowDefinitionSchema,
} from "../../gen/flowcall/v1/definition_pb.ts";
import { DraftSchema, WorkflowSchema, WorkflowVersionSchema } from "../../gen/flowcall/v1/workflow_pb.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import { etagOf, expectedOf, staleEtag } from "../chain/revision-etag.ts";

/** How a request names a workflow. */
export type Named = { readonly workflow: string; readonly slug?: string | undefined };

export function referenceOf({ workflow, slug }: Named): WorkflowReference {
  return slug === undefined ? { workflow } : { workflow, slug };
}

/** Parses a definition that is kept, when it is the caller's turn: one of a mebibyte takes some ten milliseconds. */
export async function parseDefinition(text: string, call: Call): Promise<WorkflowDefinition> {
  await call.turn?.();
  // What an older release stored may hold fields that this one does not know any more.
  return fromJsonString(WorkflowDefinitionSchema, text, { ignoreUnknownFields: true });
}

/**
 * A workflow, with the fields of its "API Call" panel where the definition that they are of is given.
 *
 * @param baseUrl what the paths of the API are below
 */
export function workflowMessage(workflow: WorkflowRecord, baseUrl: string, definition?: WorkflowDefinition) {
  const panel = definition && panelOf(definition);
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

/** The "API Call" panel of a definition's Start node. */
export function panelOf({ nodes }: WorkflowDefinition): ApiCallTrigger | undefined {
  const start = nodes.map(({ kind }) => kind).find((kind) => kind.case === "start");
  return start?.value.trigger.case === "apiCall" ? start.value.trigger.value : undefined;
}

export function draftMessage({ workflowId, revision, updateTime }: DraftRecord, definition: WorkflowDefinition) {
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

/** The draft in the state that a request names, if it names one. Refuses with WORKFLOW_NOT_FOUND, ETAG_MISMATCH. */
export async function readDraft(
  workflows: WorkflowStore,
  reach: Reach,
  request: Named & { readonly etag?: string | undefined },
): Promise<DraftRecord & { readonly slug: string }> {
  const { id, slug } = await workflows.find(reach, referenceOf(request));
  const draft = await workflows.getDraft(reach.environmentId, id);
  const { expectedRevisions = [draft.revision] } = expectedOf(request);
  if (!expectedRevisions.includes(draft.revision)) throw staleEtag(request.etag ?? "");
  return { ...draft, slug };
}
