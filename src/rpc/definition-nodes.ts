import { fromJsonString } from "@bufbuild/protobuf";
import type { ExecutionSummary } from "../domain/execution.ts";
import { type Node, WorkflowDefinitionSchema } from "../gen/flowcall/v1/definition_pb.ts";
import type { WorkflowStore } from "../storage/workflow-store.ts";
import { type NodeViews, nodeViews } from "./node-view.ts";

/** The nodes as the version has them that ran: the definition may be none of today's, so little is read from it. */
export async function definitionNodes(
  workflows: WorkflowStore,
  environmentId: string,
  { workflowId, version }: ExecutionSummary,
): Promise<readonly Node[]> {
  const text = await workflows.getVersion(environmentId, workflowId, version);
  return fromJsonString(WorkflowDefinitionSchema, text ?? "{}", { ignoreUnknownFields: true }).nodes;
}

export async function definitionViews(...version: Parameters<typeof definitionNodes>): Promise<NodeViews> {
  return nodeViews(await definitionNodes(...version));
}
