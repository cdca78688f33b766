import { readdir, readFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { create, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { z } from "zod";
import type { Call, Invoke } from "../domain/http/call.ts";
import { newId } from "../domain/id.ts";
import type { Principal } from "../domain/principal.ts";
import { RequestError } from "../domain/request-error.ts";
import { WorkflowDefinitionSchema } from "../gen/flowcall/v1/definition_pb.ts";
import {
  CreateWorkflowRequestSchema,
  GetWorkflowRequestSchema,
  PublishWorkflowRequestSchema,
  SaveDraftRequestSchema,
  type Workflow,
  WorkflowSchema,
  WorkflowService,
} from "../gen/flowcall/v1/workflow_pb.ts";

/** The data of the first organisation in an example database. */
export type Seed = {
  readonly organization: string;
  readonly integrations: readonly { readonly slug: string; readonly name: string }[];
  readonly linkedAccounts: readonly {
    readonly accountId: string;
    readonly name: string;
    readonly attributes: JsonObject;
  }[];
};

/** The folder of the project's examples. */
export const examplesDir = resolve(import.meta.dirname, "../../examples");

const json: z.ZodType<JsonValue> = z.json();

const seedSchema = z.strictObject({
  organization: z.string().min(1),
  integrations: z.array(z.strictObject({ slug: z.string().min(1), name: z.string() })),
  linked_accounts: z.array(
    z.strictObject({ account_id: z.string().min(1), name: z.string(), attributes: z.record(z.string(), json) }),
  ),
});

const workflowSchema = z.strictObject({
  slug: z.string(),
  alias: z.string(),
  name: z.string(),
  description: z.string().optional(),
  definition: z.record(z.string(), json),
});

/** Reads `acme.json`. */
export async function readSeed(dir: string): Promise<Seed> {
  const { organization, integrations, linked_accounts } = await readFileAs(join(dir, "acme.json"), seedSchema);
  return {
    organization,
    integrations,
    linkedAccounts: linked_accounts.map(({ account_id, name, attributes }) => ({
      accountId: account_id,
      name,
      attributes,
    })),
  };
}

/**
 * Loads the workflows of `dir/workflow/` that an environment lacks. It creates, saves and publishes them by calls of the
 * API. Throws an error that names file, node and field of each problem of the first invalid file.
 */
export async function loadExamples(dir: string, invoke: Invoke, principal: Principal): Promise<void> {
  const folder = join(dir, "workflow");
  const files = (await readdir(folder)).filter((name) => name.endsWith(".json")).sort();
  for (const file of files) {
    await loadExample(join(folder, file), invoke, principal);
  }
}

async function loadExample(file: string, invoke: Invoke, principal: Principal): Promise<void> {
  const { definition, ...workflow } = await readFileAs(file, workflowSchema);
  const call = callBy(principal);
  const reference = { workflow: workflow.alias, slug: workflow.slug };
  try {
    const existing = await find(reference, invoke, call);
    if (existing?.currentVersion !== undefined) {
      return;
    }
    if (existing === undefined) {
      const { description, ...rest } = workflow;
      const request = create(CreateWorkflowRequestSchema, {
        ...rest,
        ...(description !== undefined && { description }),
      });
      await invoke(WorkflowService.method.createWorkflow, request, call);
    }
    const draft = create(SaveDraftRequestSchema, {
      ...reference,
      definition: fromJson(WorkflowDefinitionSchema, definition),
    });
    await invoke(WorkflowService.method.saveDraft, draft, call);
    await invoke(WorkflowService.method.publishWorkflow, create(PublishWorkflowRequestSchema, reference), call);
  } catch (error) {
    throw new Error(`${nameOf(file)} cannot be loaded:\n${describe(error)}`, { cause: error });
  }
}

async function find(
  reference: { readonly workflow: string; readonly slug: string },
  invoke: Invoke,
  call: Call,
): Promise<Workflow | undefined> {
  try {
    const reply = await invoke(WorkflowService.method.getWorkflow, create(GetWorkflowRequestSchema, reference), call);
    if (reply.$typeName !== WorkflowSchema.typeName) {
      throw new Error(`GetWorkflow answered ${reply.$typeName}`);
    }
    // The type name has been checked.
    return reply as Workflow;
  } catch (error) {
    if (error instanceof RequestError && error.reason === "WORKFLOW_NOT_FOUND") {
      return undefined;
    }
    throw error;
  }
}

function callBy(principal: Principal): Call {
  return {
    requestId: newId(),
    protocol: "connect",
    principal,
    headers: new Map(),
    signal: new AbortController().signal,
    replyHeaders: new Map(),
  };
}

async function readFileAs<T>(file: string, schema: z.ZodType<T>): Promise<T> {
  try {
    return schema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    const problems =
      error instanceof z.ZodError
        ? error.issues.map((issue) => `  ${issue.path.join(".")}: ${issue.message}`).join("\n")
        : `  ${error instanceof Error ? error.message : String(error)}`;
    throw new Error(`${nameOf(file)} is invalid:\n${problems}`, { cause: error });
  }
}

function nameOf(file: string): string {
  return relative(resolve(examplesDir, ".."), file);
}

function describe(error: unknown): string {
  const problems = error instanceof RequestError ? (error.details.problems ?? []) : [];
  if (problems.length === 0) {
    return `  ${error instanceof Error ? error.message : String(error)}`;
  }
  return problems
    .map(({ nodeId, field, message }) => `  ${nodeId === undefined ? "" : `node ${nodeId}: `}${field}: ${message}`)
    .join("\n");
}
