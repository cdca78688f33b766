import { fromJsonString } from "@bufbuild/protobuf";
import type { ExecutionSummary } from "../../domain/execution.ts";
import { type Node, type WorkflowDefinition, WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import type { FieldDeclaration } from "../../gen/flowcall/v1/field_pb.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import { type NodeViews, nodeViews } from "./node-view.ts";

type Version = Pick<ExecutionSummary, "workflowId" | "version">;

/** The nodes of the version that ran. An older release may have stored the definition, so unknown fields are ignored. */
export async function definitionNodes(
  workflows: WorkflowStore,
  environmentId: string,
  version: Version,
): Promise<readonly Node[]> {
  return (await definitionOf(workflows, environmentId, version)).nodes;
}

/** The declared fields of a version. */
export async function definitionFields(
  ...version: Parameters<typeof definitionOf>
): Promise<readonly FieldDeclaration[]> {
  return (await definitionOf(...version)).fields;
}

export async function definitionViews(...version: Parameters<typeof definitionNodes>): Promise<NodeViews> {
  return nodeViews(await definitionNodes(...version));
}

async function definitionOf(
  workflows: WorkflowStore,
  environmentId: string,
  { workflowId, version }: Version,
): Promise<WorkflowDefinition> {
  const text = await workflows.getVersion(environmentId, workflowId, version);
  return fromJsonString(WorkflowDefinitionSchema, text ?? "{}", { ignoreUnknownFields: true });
}
