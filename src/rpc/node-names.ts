import { fromJsonString } from "@bufbuild/protobuf";
import type { ExecutionSummary } from "../domain/execution.ts";
import { WorkflowDefinitionSchema } from "../gen/flowcall/v1/definition_pb.ts";
import type { WorkflowStore } from "../storage/workflow-store.ts";
import type { NodeNames } from "./execution-message.ts";

/** The names as the version has them: the definition may be none of today's, so nothing else is read from it. */
export async function nodeNames(
  workflows: WorkflowStore,
  environmentId: string,
  { workflowId, version }: ExecutionSummary,
): Promise<NodeNames> {
  const text = await workflows.getVersion(environmentId, workflowId, version);
  const { nodes } = fromJsonString(WorkflowDefinitionSchema, text ?? "{}", { ignoreUnknownFields: true });
  return new Map(nodes.filter(({ name }) => name !== "").map(({ id, name }) => [id, name]));
}
