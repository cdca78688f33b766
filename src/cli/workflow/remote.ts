import { fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import { type WorkflowDefinition, WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import {
  type Draft,
  type PublishWorkflowResponse,
  type Workflow,
  WorkflowProblemSchema,
  WorkflowService,
} from "../../gen/flowcall/v1/workflow_pb.ts";
import type { Client } from "../client.ts";
import type { Context } from "../context.ts";
import { Methods } from "../methods.ts";
import { callNamed, unaryNamed } from "../named-call.ts";
import { type FileProblem, problemOfServer } from "./file-problem.ts";
import type { WorkflowFile } from "./workflow-file.ts";

const service = WorkflowService.method;
const prefix = `${WorkflowService.typeName}.`;

/** The workflows of the server's environment, as they were listed, and what can be done with them. */
export class RemoteWorkflows {
  readonly all: readonly Workflow[];
  readonly #client: Client;
  readonly #methods: Methods;

  private constructor(client: Client, methods: Methods, all: readonly Workflow[]) {
    this.#client = client;
    this.#methods = methods;
    this.all = all;
  }

  static async list(context: Context): Promise<RemoteWorkflows> {
    const [client, methods] = await Promise.all([context.connect(), Methods.load()]);
    const all: Workflow[] = [];
    for (let pageToken: string | undefined, isLast = false; !isLast; isLast = pageToken === undefined) {
      const request = { pageSize: 200, ...(pageToken !== undefined && { pageToken }) };
      const page = await client.unary(service.listWorkflows, request, { signal: context.signal });
      all.push(...page.workflows);
      pageToken = page.nextPageToken;
    }
    return new RemoteWorkflows(client, methods, all);
  }

  /** The workflow of a file: by slug and alias, or by the id that the file is named for. */
  find({ header: { slug, alias } }: WorkflowFile): Workflow | undefined {
    return this.all.find((workflow) => workflow.id === alias || (workflow.slug === slug && workflow.alias === alias));
  }

  /** Whether this version knows a method of WorkflowService. */
  has(method: string): boolean {
    return this.#methods.all.some(
      ({ parent, name }) => parent.typeName === WorkflowService.typeName && name === method,
    );
  }

  async draft({ id }: Pick<Workflow, "id">): Promise<Draft> {
    return await this.#client.unary(service.getDraft, { workflow: id });
  }

  /** What calls run, where something is published and the server tells. */
  async published({ id, currentVersion }: Workflow): Promise<WorkflowDefinition | undefined> {
    if (currentVersion === undefined || !this.has("GetVersion")) return undefined;
    const version = await this.#call("GetVersion", { workflow: id, version: currentVersion });
    return fromJson(WorkflowDefinitionSchema, version["definition"] ?? {}, { ignoreUnknownFields: true });
  }

  async create({ header: { name, slug, alias, description } }: WorkflowFile): Promise<Workflow> {
    const request = { name, slug, alias, ...(description !== undefined && { description }) };
    return await this.#client.unary(service.createWorkflow, request);
  }

  async rename({ id }: Workflow, { name, description = "" }: WorkflowFile["header"]): Promise<void> {
    await this.#call("UpdateWorkflow", { workflow: id, name, description });
  }

  async save(workflow: Workflow, definition: WorkflowDefinition, etag?: string): Promise<void> {
    const request = { workflow: workflow.id, definition, ...(etag !== undefined && { etag }) };
    await this.#client.unary(service.saveDraft, request);
  }

  async publish({ id }: Pick<Workflow, "id">): Promise<PublishWorkflowResponse> {
    return await this.#client.unary(service.publishWorkflow, { workflow: id });
  }

  /**
   * What the server would say of a file's definition if it were published; undefined where nobody can say: it lacks the
   * method, or has no workflow to ask about in place of a new one.
   */
  async validate(file: WorkflowFile): Promise<readonly FileProblem[] | undefined> {
    const sameSlug = this.all.find(({ slug }) => slug === file.header.slug);
    const workflow = this.find(file) ?? sameSlug ?? this.all[0];
    if (workflow === undefined || !this.has("ValidateDraft")) return undefined;
    const definition = toJson(WorkflowDefinitionSchema, file.definition);
    const { errors, warnings } = await this.#call("ValidateDraft", { workflow: workflow.id, definition });
    const told = (list: unknown, severity: FileProblem["severity"]) =>
      (Array.isArray(list) ? list : []).map((problem) =>
        problemOfServer(file, fromJson(WorkflowProblemSchema, problem), severity),
      );
    return [...told(errors, "error"), ...told(warnings, "warning")];
  }

  async #call(method: string, request: JsonObject): Promise<JsonObject> {
    return await callNamed(this.#client, unaryNamed(this.#methods, prefix + method), request);
  }
}
