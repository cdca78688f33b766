import { create } from "@bufbuild/protobuf";
import type { Call } from "../../domain/http/call.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { WorkflowRecord } from "../../domain/workflow.ts";
import type { Definitions } from "../../engine/definitions.ts";
import { type WorkflowDefinition, WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import { Scope } from "../../gen/flowcall/v1/options_pb.ts";
import {
  ListVersionsResponseSchema,
  PublishWorkflowResponseSchema,
  RestoreVersionResponseSchema,
  ValidateDefinitionResponseSchema,
  ValidateDraftResponseSchema,
  type Workflow,
  type WorkflowService,
} from "../../gen/flowcall/v1/workflow_pb.ts";
import type { IntegrationStore } from "../../storage/tenants/integration-store.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import type { ServiceHandlers } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { principalOf, reachOf, requireScope, turnOf } from "../chain/principal-of.ts";
import { etagOf, expectedOf } from "../chain/revision-etag.ts";
import { checkDefinition } from "./check-definition.ts";
import { type Named, parseDefinition, readDraft, referenceOf, versionMessage } from "./workflow-message.ts";

type Publishing = Pick<
  ServiceHandlers<typeof WorkflowService>,
  | "validateDraft"
  | "validateDefinition"
  | "publishWorkflow"
  | "unpublishWorkflow"
  | "listVersions"
  | "getVersion"
  | "restoreVersion"
>;

export type PublishingOptions = {
  readonly workflows: WorkflowStore;
  readonly integrations: Pick<IntegrationStore, "get">;
  readonly definitions: Definitions;
  readonly answer: (call: Call, workflow: WorkflowRecord) => Promise<Workflow>;
};

/** How a draft becomes what calls run, and back. */
export function workflowPublishing({ workflows, integrations, definitions, answer }: PublishingOptions): Publishing {
  const find = (call: Call, request: Named) => workflows.find(reachOf(call), referenceOf(request));

  const findVersion = async (call: Call, { id }: WorkflowRecord, version: number) => {
    const found = await workflows.findVersion(principalOf(call).environmentId, id, version);
    if (found === undefined) throw versionNotFound(id, version);
    return found;
  };

  /** What the integration of a workflow declares. */
  const declaredFor = async ({ slug }: Pick<WorkflowRecord, "slug">, call: Call) =>
    (await integrations.get(principalOf(call).environmentId, slug)).fields;

  const findingsOf = async (
    definition: WorkflowDefinition,
    {
      deriveSchema: derivesSchema = false,
      applicationFields,
    }: { readonly deriveSchema?: boolean | undefined; readonly applicationFields?: string },
    call: Call,
  ) => {
    const findings = await definitions.check(definition, {
      path: turnOf(call),
      signal: call.signal,
      derivesSchema,
      ...(applicationFields !== undefined && { applicationFields }),
    });
    return { ...findings, errors: [...findings.errors], warnings: [...findings.warnings] };
  };

  const warningsOf = async (definition: string, workflow: Pick<WorkflowRecord, "id" | "slug">, call: Call) => [
    ...(await checkDefinition(await parseDefinition(definition, call), {
      id: workflow.id,
      text: definition,
      applicationFields: await declaredFor(workflow, call),
      definitions,
      path: turnOf(call),
      signal: call.signal,
    })),
  ];

  return {
    validateDraft: async (request, call) => {
      // What is checked then is the caller's, and not what authors have saved.
      if (request.definition !== undefined || request.deriveSchema) requireScope(call, Scope.AUTHOR);
      const workflow = await find(call, request);
      const draft = await workflows.getDraft(principalOf(call).environmentId, workflow.id);
      const definition = request.definition ?? (await parseDefinition(draft.definition, call));
      const { deriveSchema } = request;
      const applicationFields = await declaredFor(workflow, call);
      return create(ValidateDraftResponseSchema, {
        ...(await findingsOf(definition, { deriveSchema, applicationFields }, call)),
        ...(request.definition === undefined && { etag: etagOf(draft.revision) }),
      });
    },

    validateDefinition: async ({ definition = create(WorkflowDefinitionSchema), ...request }, call) =>
      create(ValidateDefinitionResponseSchema, await findingsOf(definition, request, call)),

    publishWorkflow: async (request, call) => {
      const { workflowId, slug, definition, revision } = await readDraft(workflows, reachOf(call), request);
      const warnings = await warningsOf(definition, { id: workflowId, slug }, call);
      const version = await workflows.publish(principalOf(call), {
        action: "PUBLISH",
        workflowId,
        definition,
        revision,
      });
      return create(PublishWorkflowResponseSchema, { workflowId, version, warnings });
    },

    unpublishWorkflow: async (request, call) => {
      const { id } = await find(call, request);
      const unpublished = await workflows.unpublish(principalOf(call), { workflowId: id, ...expectedOf(request) });
      return await answer(call, unpublished);
    },

    listVersions: async (request, call) => {
      const workflow = await find(call, request);
      const page = await workflows.listVersions(principalOf(call).environmentId, workflow.id, pageOf(request));
      return create(ListVersionsResponseSchema, {
        versions: page.versions.map((version) => versionMessage(workflow, version)),
        ...nextOf(page),
      });
    },

    getVersion: async (request, call) => {
      const workflow = await find(call, request);
      const { definition, ...version } = await findVersion(call, workflow, request.version);
      return Object.assign(versionMessage(workflow, version), { definition: await parseDefinition(definition, call) });
    },

    restoreVersion: async (request, call) => {
      const workflow = await find(call, request);
      const { definition } = await findVersion(call, workflow, request.version);
      // What an older release has published need not be what this one runs.
      const warnings = await warningsOf(definition, workflow, call);
      const version = await workflows.publish(principalOf(call), {
        action: "RESTORE",
        workflowId: workflow.id,
        definition,
        ...expectedOf(request),
      });
      return create(RestoreVersionResponseSchema, { workflowId: workflow.id, version, warnings });
    },
  };
}

function versionNotFound(workflow: string, version: number): RequestError {
  return new RequestError("WORKFLOW_VERSION_NOT_FOUND", `The workflow has no version ${version}.`, {
    metadata: { workflow, workflow_version: String(version) },
  });
}
