import type { Node, WorkflowDefinition } from "../../gen/flowcall/v1/definition_pb.ts";
import type { FieldDeclaration } from "../../gen/flowcall/v1/field_pb.ts";

/** How the runs of a node are shown. */
export type NodeView = {
  /** Empty where the node has none. */
  readonly name: string;
  readonly isGroup: boolean;
  /** Whether the node sets the execution's response. */
  readonly isResponse: boolean;
  readonly isHidden: boolean;
  /** The paths in its output that are redacted. */
  readonly encryptedFields: readonly string[];
};

/** The views by node id. */
export type NodeViews = ReadonlyMap<string, NodeView>;

/** The little of a definition that replies need beside what is recorded of an execution. */
export type DefinitionOutline = { readonly nodes: NodeViews; readonly fields: readonly FieldDeclaration[] };

export function outlineOf({ nodes, fields }: WorkflowDefinition): DefinitionOutline {
  return { nodes: new Map(nodes.map((node) => [node.id, viewOf(node)])), fields };
}

function viewOf({ name, kind, settings }: Node): NodeView {
  const { hideNodeRequest: isHidden = false, encryptedOutputFields: encryptedFields = [] } = settings ?? {};
  return { name, isGroup: kind.case === "group", isResponse: kind.case === "response", isHidden, encryptedFields };
}
