import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { type WorkflowDefinition, WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import { IntegrationService } from "../../gen/flowcall/v1/integration_pb.ts";
import {
  type Draft,
  type PublishWorkflowResponse,
  type Workflow,
  WorkflowService,
} from "../../gen/flowcall/v1/workflow_pb.ts";
import type { Client } from "../client/client.ts";
import { Methods } from "../client/methods.ts";
import type { Context } from "../command/context.ts";
import { callNamed, listNamed, unaryNamed } from "../command/named-call.ts";
import { CliError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { readFailure } from "../output/read-failure.ts";
import { type FileProblem, problemAt, problemOfServer } from "../workflow-file/file-problem.ts";
import type { WorkflowFile } from "../workflow-file/workflow-file.ts";

const service = WorkflowService.method;
const prefix = `${WorkflowService.typeName}.`;

/** The reasons that refuse a definition itself. */
const definitionRefusals: ReadonlySet<string> = new Set(["VALIDATION_ERROR", "PAYLOAD_TOO_LARGE"]);

/** The workflows on the server, as listed once, and the calls that read and change them. */
export class RemoteWorkflows {
  readonly all: readonly Workflow[];
  readonly #client: Client;
  readonly #methods: Methods;
  #integrations: Promise<readonly JsonObject[]> | undefined;

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

  /** The workflow of a file, by slug and alias, or by an id as the file's name. */
  find({ header: { slug, alias } }: WorkflowFile): Workflow | undefined {
    return this.all.find((workflow) => workflow.id === alias || (workflow.slug === slug && workflow.alias === alias));
  }

  /** Whether the generated code has a method of WorkflowService. */
  has(method: string): boolean {
    return this.#methods.all.some(
      ({ parent, name }) => parent.typeName === WorkflowService.typeName && name === method,
    );
  }

  async draft({ id }: Pick<Workflow, "id">): Promise<Draft> {
    return await this.#client.unary(service.getDraft, { workflow: id });
  }

  /** The published definition, if there is one and the server can answer it. */
  async published({ id, currentVersion }: Workflow): Promise<WorkflowDefinition | undefined> {
    if (currentVersion === undefined || !this.has("GetVersion")) {
      return undefined;
    }
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

  /** The slugs of the integrations. They are read once. */
  async integrations(): Promise<readonly string[]> {
    const asked = { name: `${IntegrationService.typeName}.ListIntegrations`, request: {} };
    this.#integrations ??= listNamed(this.#client, asked, "integrations");
    return (await this.#integrations).map(({ slug }) => String(slug));
  }

  /** Creates an integration. Throws CliError if the key lacks the scope admin. */
  async createIntegration(slug: string): Promise<void> {
    try {
      await this.#client.unary(IntegrationService.method.createIntegration, { slug, name: slug });
    } catch (error) {
      const { reason, message } = await readFailure(error);
      // Someone else created it in the meantime.
      if (reason === "INTEGRATION_EXISTS") {
        return;
      }
      if (reason !== "SCOPE_MISSING") {
        throw error;
      }
      throw new CliError(
        `The integration ${slug} does not exist, and creating it needs a key with the scope admin (${message}). ` +
          `With such a key: flowcall integration put ${slug}`,
        { exitCode: exitCodes.unauthorized },
      );
    }
  }

  /** The problems that the server would report when publishing the definition. */
  async validate(file: WorkflowFile): Promise<readonly FileProblem[]> {
    try {
      const { definition } = file;
      const { errors, warnings } = await this.#client.unary(service.validateDefinition, { definition });
      return [
        ...errors.map((problem) => problemOfServer(file, problem, "error")),
        ...warnings.map((problem) => problemOfServer(file, problem, "warning")),
      ];
    } catch (error) {
      const { reason = "", message } = await readFailure(error);
      if (!definitionRefusals.has(reason)) {
        throw error;
      }
      return [problemAt(file, ["definition"], { reason, message })];
    }
  }

  async #call(method: string, request: JsonObject): Promise<JsonObject> {
    return await callNamed(this.#client, unaryNamed(this.#methods, prefix + method), request);
  }
}
