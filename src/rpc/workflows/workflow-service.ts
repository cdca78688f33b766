import { create, toJsonString } from "@bufbuild/protobuf";
import type { Call } from "../../domain/http/call.ts";
import type { WorkflowRecord } from "../../domain/workflow.ts";
import { WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import {
  DeleteWorkflowResponseSchema,
  ListWorkflowsResponseSchema,
  WorkflowService,
} from "../../gen/flowcall/v1/workflow_pb.ts";
import type { IntegrationStore } from "../../storage/tenants/integration-store.ts";
import { type Implementation, implement } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { principalOf, reachOf } from "../chain/principal-of.ts";
import { expectedOf } from "../chain/revision-etag.ts";
import { type DraftTestOptions, draftTest } from "./draft-test.ts";
import { draftMessage, type Named, parseDefinition, referenceOf, workflowMessage } from "./workflow-message.ts";
import { workflowPublishing } from "./workflow-publishing.ts";

export type WorkflowServiceOptions = DraftTestOptions & {
  readonly integrations: Pick<IntegrationStore, "get">;
  /** What the paths of the API are below, without a slash at the end; absent where that is for each request to say. */
  readonly publicUrl?: string | undefined;
};

/** Writing, publishing and looking up workflows. */
export function createWorkflowService(options: WorkflowServiceOptions): Implementation {
  const { workflows, integrations, definitions, publicUrl } = options;
  const find = (call: Call, request: Named) => workflows.find(reachOf(call), referenceOf(request));

  const baseUrl = (call: Call) => publicUrl ?? call.origin?.() ?? "";

  /** With the panel of the version that calls run, or of the draft. */
  const answer = async (call: Call, workflow: WorkflowRecord) => {
    const { environmentId } = principalOf(call);
    const { id, currentVersion } = workflow;
    const text =
      currentVersion === undefined
        ? (await workflows.getDraft(environmentId, id)).definition
        : await workflows.getVersion(environmentId, id, currentVersion);
    return workflowMessage(workflow, baseUrl(call), text === undefined ? undefined : await parseDefinition(text, call));
  };

  return implement(WorkflowService, {
    ...draftTest(options),
    ...workflowPublishing({ workflows, integrations, definitions, answer }),

    createWorkflow: async ({ slug, name, description, alias }, call) =>
      workflowMessage(
        await workflows.create(principalOf(call), {
          slug,
          name,
          ...(description !== undefined && { description }),
          ...(alias !== undefined && { alias }),
        }),
        baseUrl(call),
      ),

    listWorkflows: async (request, call) => {
      const { slug } = request;
      const page = await workflows.list(reachOf(call), { ...(slug !== undefined && { slug }), ...pageOf(request) });
      return create(ListWorkflowsResponseSchema, {
        workflows: page.workflows.map((workflow) => workflowMessage(workflow, baseUrl(call))),
        ...nextOf(page),
      });
    },

    getWorkflow: async (request, call) => await answer(call, await find(call, request)),

    updateWorkflow: async (request, call) => {
      const { id, slug } = await find(call, request);
      const { name, description, alias } = request;
      const workflow = await workflows.update(principalOf(call), {
        workflowId: id,
        slug,
        ...(name !== undefined && { name }),
        ...(description !== undefined && { description }),
        ...(alias !== undefined && { alias }),
        ...expectedOf(request),
      });
      return await answer(call, workflow);
    },

    deleteWorkflow: async (request, call) => {
      const { id } = await find(call, request);
      await workflows.delete(principalOf(call), { workflowId: id, ...expectedOf(request) });
      return create(DeleteWorkflowResponseSchema);
    },

    getDraft: async (request, call) => {
      const { id } = await find(call, request);
      const draft = await workflows.getDraft(principalOf(call).environmentId, id);
      return draftMessage(draft, await parseDefinition(draft.definition, call));
    },

    saveDraft: async ({ definition = create(WorkflowDefinitionSchema), ...request }, call) => {
      const { id } = await find(call, request);
      await call.turn?.();
      const draft = await workflows.saveDraft(principalOf(call), {
        workflowId: id,
        definition: toJsonString(WorkflowDefinitionSchema, definition),
        ...expectedOf(request),
      });
      return draftMessage(draft, definition);
    },
  });
}
