import { create, fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Call } from "../domain/call.ts";
import type { Limits } from "../domain/limits.ts";
import { RequestError } from "../domain/request-error.ts";
import type { DraftRecord, WorkflowRecord, WorkflowReference } from "../domain/workflow.ts";
import { compileGraph } from "../engine/compile-graph.ts";
import { type WorkflowDefinition, WorkflowDefinitionSchema } from "../gen/flowcall/v1/definition_pb.ts";
import {
  DraftSchema,
  ListWorkflowsResponseSchema,
  PublishWorkflowResponseSchema,
  WorkflowSchema,
  WorkflowService,
} from "../gen/flowcall/v1/workflow_pb.ts";
import type { WorkflowStore } from "../storage/workflow-store.ts";
import { etagOf, revisionOf, staleEtag } from "./etag.ts";
import { type Implementation, implement } from "./handler-chain.ts";
import { principalOf, reachOf } from "./principal-of.ts";

const pageSizeDefault = 50;

export type WorkflowServiceOptions = { readonly workflows: WorkflowStore; readonly limits: Limits };

/** Writing, publishing and looking up workflows. */
export function createWorkflowService({ workflows, limits }: WorkflowServiceOptions): Implementation {
  const find = (call: Call, request: Named) => workflows.find(reachOf(call), referenceOf(request));

  return implement(WorkflowService, {
    createWorkflow: async ({ slug, name, description, alias }, call) =>
      workflowMessage(
        await workflows.create(principalOf(call).environmentId, {
          slug,
          name,
          ...(description !== undefined && { description }),
          ...(alias !== undefined && { alias }),
        }),
      ),

    listWorkflows: async ({ slug, pageSize, pageToken }, call) => {
      const page = await workflows.list(reachOf(call), {
        ...(slug !== undefined && { slug }),
        pageSize: pageSize ?? pageSizeDefault,
        ...(pageToken !== undefined && { pageToken }),
      });
      return create(ListWorkflowsResponseSchema, {
        workflows: page.workflows.map((workflow: WorkflowRecord) => workflowMessage(workflow)),
        ...(page.nextPageToken !== undefined && { nextPageToken: page.nextPageToken }),
      });
    },

    getWorkflow: async (request, call) => {
      const { environmentId } = principalOf(call);
      const workflow = await find(call, request);
      if (workflow.currentVersion === undefined) return workflowMessage(workflow);
      const text = await workflows.getVersion(environmentId, workflow.id, workflow.currentVersion);
      return workflowMessage(workflow, text === undefined ? undefined : parseDefinition(text));
    },

    getDraft: async (request, call) => {
      const { id } = await find(call, request);
      return draftMessage(await workflows.getDraft(principalOf(call).environmentId, id));
    },

    saveDraft: async (request, call) => {
      const { id } = await find(call, request);
      const draft = await workflows.saveDraft({
        environmentId: principalOf(call).environmentId,
        workflowId: id,
        definition: toJsonString(WorkflowDefinitionSchema, request.definition ?? create(WorkflowDefinitionSchema)),
        ...(request.etag !== undefined && { expectedRevision: revisionOf(request.etag) }),
      });
      return draftMessage(draft);
    },

    publishWorkflow: async (request, call) => {
      const { environmentId } = principalOf(call);
      const { id } = await find(call, request);
      const draft = await workflows.getDraft(environmentId, id);
      if (request.etag !== undefined && revisionOf(request.etag) !== draft.revision) throw staleEtag(request.etag);
      const { errors, warnings } = compileGraph(parseDefinition(draft.definition), limits);
      if (errors.length > 0) {
        const first = errors[0];
        throw new RequestError(
          "WORKFLOW_INVALID",
          `The draft cannot be published: ${errors.length} ${errors.length === 1 ? "problem" : "problems"}, the first: ` +
            `${first?.nodeId === undefined ? "" : `node ${first.nodeId}, `}${first?.field}: ${first?.message}`,
          { problems: errors, metadata: { workflow_id: id, problems: String(errors.length) } },
        );
      }
      const { definition, revision } = draft;
      const version = await workflows.publish({ environmentId, workflowId: id, definition, revision });
      return create(PublishWorkflowResponseSchema, { workflowId: id, version, warnings: [...warnings] });
    },
  });
}

type Named = { readonly workflow: string; readonly slug?: string | undefined };

function referenceOf({ workflow, slug }: Named): WorkflowReference {
  return slug === undefined ? { workflow } : { workflow, slug };
}

function parseDefinition(text: string): WorkflowDefinition {
  // What an older release stored may hold fields that this one does not know any more.
  return fromJsonString(WorkflowDefinitionSchema, text, { ignoreUnknownFields: true });
}

function workflowMessage(workflow: WorkflowRecord, published?: WorkflowDefinition) {
  const start = published?.nodes.map(({ kind }) => kind).find((kind) => kind.case === "start");
  const payload = start?.value.trigger.value?.payload;
  return create(WorkflowSchema, {
    id: workflow.id,
    slug: workflow.slug,
    name: workflow.name,
    url: `/api/v1/workflow/${workflow.alias ?? workflow.id}/execute`,
    createTime: timestampFromDate(workflow.createTime),
    updateTime: timestampFromDate(workflow.updateTime),
    ...(workflow.description !== undefined && { description: workflow.description }),
    ...(workflow.alias !== undefined && { alias: workflow.alias }),
    ...(workflow.currentVersion !== undefined && { currentVersion: workflow.currentVersion }),
    ...(payload !== undefined && { payload }),
  });
}

function draftMessage({ workflowId, definition, revision, updateTime }: DraftRecord) {
  return create(DraftSchema, {
    workflowId,
    definition: parseDefinition(definition),
    etag: etagOf(revision),
    updateTime: timestampFromDate(updateTime),
  });
}
