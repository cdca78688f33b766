import { create } from "@bufbuild/protobuf";
import type { Workflows } from "../../authoring/workflows.ts";
import type { Call } from "../../domain/http/call.ts";
import { parseDefinition } from "../../domain/json/definition-text.ts";
import type { Limits } from "../../domain/limits.ts";
import type { DefinedWorkflow } from "../../domain/workflow.ts";
import { WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import {
  type CreateWorkflowRequest,
  type DeleteWorkflowRequest,
  DeleteWorkflowResponseSchema,
  type GetDraftRequest,
  type GetVersionRequest,
  type GetWorkflowRequest,
  type ListVersionsRequest,
  ListVersionsResponseSchema,
  type ListWorkflowsRequest,
  ListWorkflowsResponseSchema,
  type PublishWorkflowRequest,
  PublishWorkflowResponseSchema,
  type RestoreVersionRequest,
  RestoreVersionResponseSchema,
  type SaveDraftRequest,
  type TestDraftRequest,
  type UnpublishWorkflowRequest,
  type UpdateWorkflowRequest,
  type ValidateDefinitionRequest,
  ValidateDefinitionResponseSchema,
  type ValidateDraftRequest,
  ValidateDraftResponseSchema,
  WorkflowService,
} from "../../gen/flowcall/v1/workflow_pb.ts";
import type { DraftTests } from "../../scheduler/draft-tests.ts";
import type { DraftStore } from "../../storage/workflows/draft-store.ts";
import type { VersionStore } from "../../storage/workflows/version-store.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import { callerOf, principalOf } from "../chain/handler-call.ts";
import { type Implementation, implement, type ServiceHandlers } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { etagOf, expectedOf } from "../chain/revision-etag.ts";
import { draftTestMessage, draftTestOf } from "./draft-test-message.ts";
import { draftMessage, findingsOf, panelIn, referenceOf, versionMessage, workflowMessage } from "./workflow-message.ts";

export type WorkflowServiceOptions = {
  readonly stores: { readonly workflows: WorkflowStore; readonly drafts: DraftStore; readonly versions: VersionStore };
  readonly workflows: Workflows;
  readonly draftTests: DraftTests;
  readonly limits: Limits;
  /** The base URL of the API's paths, without a slash at the end; absent where each request tells it. */
  readonly publicUrl?: string | undefined;
};

/** Writing, publishing and looking up workflows. */
export function createWorkflowService(options: WorkflowServiceOptions): Implementation {
  return implement(WorkflowService, new WorkflowHandlers(options));
}

class WorkflowHandlers implements ServiceHandlers<typeof WorkflowService> {
  readonly #options: WorkflowServiceOptions;

  constructor(options: WorkflowServiceOptions) {
    this.#options = options;
  }

  async createWorkflow({ slug, name, description, alias }: CreateWorkflowRequest, call: Call) {
    const workflow = await this.#options.stores.workflows.create(principalOf(call), {
      slug,
      name,
      ...(description !== undefined && { description }),
      ...(alias !== undefined && { alias }),
    });
    return workflowMessage(workflow, this.#baseUrl(call));
  }

  async listWorkflows(request: ListWorkflowsRequest, call: Call) {
    const { slug } = request;
    const filter = { ...(slug !== undefined && { slug }), ...pageOf(request) };
    const page = await this.#options.stores.workflows.list(principalOf(call), filter);
    return create(ListWorkflowsResponseSchema, {
      workflows: page.workflows.map((workflow) => workflowMessage(workflow, this.#baseUrl(call))),
      ...nextOf(page),
    });
  }

  async getWorkflow(request: GetWorkflowRequest, call: Call) {
    const { workflows } = this.#options.stores;
    return await this.#shown(await workflows.findDefined(principalOf(call), referenceOf(request)), call);
  }

  async updateWorkflow(request: UpdateWorkflowRequest, call: Call) {
    const { name, description, alias } = request;
    const workflow = await this.#options.stores.workflows.update(principalOf(call), {
      reference: referenceOf(request),
      ...(name !== undefined && { name }),
      ...(description !== undefined && { description }),
      ...(alias !== undefined && { alias }),
      ...expectedOf(request),
    });
    return await this.#shown(workflow, call);
  }

  async deleteWorkflow(request: DeleteWorkflowRequest, call: Call) {
    const workflow = { reference: referenceOf(request), ...expectedOf(request) };
    await this.#options.stores.workflows.delete(principalOf(call), workflow);
    return create(DeleteWorkflowResponseSchema);
  }

  async getDraft(request: GetDraftRequest, call: Call) {
    const draft = await this.#options.stores.drafts.find(principalOf(call), referenceOf(request));
    await call.turn?.();
    return draftMessage(draft, parseDefinition(draft.definition));
  }

  async saveDraft(request: SaveDraftRequest, call: Call) {
    const { definition = create(WorkflowDefinitionSchema) } = request;
    const draft = { reference: referenceOf(request), definition, ...expectedOf(request) };
    return draftMessage(await this.#options.workflows.saveDraft(callerOf(call), draft), definition);
  }

  async validateDraft(request: ValidateDraftRequest, call: Call) {
    const { definition, deriveSchema: derivesSchema = false } = request;
    const findings = await this.#options.workflows.checkDraft(callerOf(call), {
      reference: referenceOf(request),
      derivesSchema,
      ...(definition !== undefined && { definition }),
    });
    const { revision } = findings;
    return create(ValidateDraftResponseSchema, {
      ...findingsOf(findings),
      ...(revision !== undefined && { etag: etagOf(revision) }),
    });
  }

  async validateDefinition(request: ValidateDefinitionRequest, call: Call) {
    const { definition = create(WorkflowDefinitionSchema), deriveSchema: derivesSchema = false } = request;
    const check = { definition, derivesSchema };
    const findings = await this.#options.workflows.checkDefinition(callerOf(call), check);
    return create(ValidateDefinitionResponseSchema, findingsOf(findings));
  }

  async testDraft(request: TestDraftRequest, call: Call) {
    const { draftTests, limits } = this.#options;
    return draftTestMessage(await draftTests.run(draftTestOf(request, call, limits)), call, limits);
  }

  async publishWorkflow(request: PublishWorkflowRequest, call: Call) {
    const workflow = { reference: referenceOf(request), ...expectedOf(request) };
    const { warnings, ...version } = await this.#options.workflows.publish(callerOf(call), workflow);
    return create(PublishWorkflowResponseSchema, { ...version, warnings: [...warnings] });
  }

  async unpublishWorkflow(request: UnpublishWorkflowRequest, call: Call) {
    const workflow = { reference: referenceOf(request), ...expectedOf(request) };
    return await this.#shown(await this.#options.stores.workflows.unpublish(principalOf(call), workflow), call);
  }

  async listVersions(request: ListVersionsRequest, call: Call) {
    const { workflows, versions } = this.#options.stores;
    const workflow = await workflows.find(principalOf(call), referenceOf(request));
    const page = await versions.list(principalOf(call).environmentId, workflow.id, pageOf(request));
    return create(ListVersionsResponseSchema, {
      versions: page.versions.map((version) => versionMessage(workflow, version)),
      ...nextOf(page),
    });
  }

  async getVersion(request: GetVersionRequest, call: Call) {
    const { versions } = this.#options.stores;
    const { workflow, version, definition } = await versions.find(
      principalOf(call),
      referenceOf(request),
      request.version,
    );
    await call.turn?.();
    return Object.assign(versionMessage(workflow, version), { definition: parseDefinition(definition) });
  }

  async restoreVersion(request: RestoreVersionRequest, call: Call) {
    const workflow = { reference: referenceOf(request), version: request.version, ...expectedOf(request) };
    const { warnings, ...version } = await this.#options.workflows.restore(callerOf(call), workflow);
    return create(RestoreVersionResponseSchema, { ...version, warnings: [...warnings] });
  }

  /** With the "API Call" panel of the definition that calls run, or of the draft. */
  async #shown(workflow: DefinedWorkflow, call: Call) {
    await call.turn?.();
    return workflowMessage(workflow, this.#baseUrl(call), panelIn(workflow.definition));
  }

  #baseUrl(call: Call): string {
    return this.#options.publicUrl ?? call.origin?.() ?? "";
  }
}
