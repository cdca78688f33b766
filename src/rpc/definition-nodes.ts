import { fromJsonString } from "@bufbuild/protobuf";
import type { ExecutionSummary } from "../domain/execution.ts";
import { type Node, WorkflowDefinitionSchema } from "../gen/flowcall/v1/definition_pb.ts";
import type { WorkflowStore } from "../storage/workflow-store.ts";
import type { NodeNames } from "./execution-message.ts";

/** The nodes as the version has them that ran: the definition may be none of today's, so little is read from it. */
export async function definitionNodes(
  workflows: WorkflowStore,
  environmentId: string,
  { workflowId, version }: ExecutionSummary,
): Promise<readonly Node[]> {
  const text = await workflows.getVersion(environmentId, workflowId, version);
  return fromJsonString(WorkflowDefinitionSchema, text ?? "{}", { ignoreUnknownFields: true }).nodes;
}

export async function nodeNames(...version: Parameters<typeof definitionNodes>): Promise<NodeNames> {
  const nodes = await definitionNodes(...version);
  return new Map(nodes.filter(({ name }) => name !== "").map(({ id, name }) => [id, name]));
}
