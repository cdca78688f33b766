import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";
import type { Place, Problems } from "../errors/problems.ts";
import type { Names, Read } from "../templates/field.ts";
import type { Structure } from "./check-structure.ts";
import { iterationEndFields } from "./compile-group.ts";
import type { Certainty } from "./dominators.ts";
import type { LevelPlan } from "./plan-subgraphs.ts";
import { startOutputField } from "./start-output.ts";
import { type Known, ReadWarnings } from "./warn-of-reads.ts";

type WarningTools = {
  readonly certainty: Certainty;
  readonly names: Names;
  readonly problems: Problems;
  readonly known: Omit<Known, "isInside">;
};

/** Warns of nodes that never run, of templates that may find nothing, and of Responses that come second. */
export function warnOfLevels(structure: Structure, plans: readonly LevelPlan[], tools: WarningTools): void {
  const reachable = new Set(plans.flatMap((plan) => plan.nodes));
  for (const node of structure.nodes.values()) {
    if (!reachable.has(node)) {
      const message = `Nothing leads to the node "${node.id}", so it is left out. Connect it or remove it.`;
      tools.problems.warn({ nodeId: node.id, field: "id" }, "NODE_UNREACHABLE", message);
    }
  }
  const levels = new Map(plans.map((plan) => [plan.group?.id, plan]));
  const isInside = (place: Place, groupId: string) => readsInside(structure, place, groupId);
  const warnings = new ReadWarnings({ ...tools.known, isInside }, tools.problems);
  for (const read of tools.names.reads) {
    const reader = structure.nodes.get(read.place.nodeId ?? "");
    if (reader === undefined || !reachable.has(reader) || warnings.warn(read)) continue;
    const { source, text } = read.reference;
    if (source.kind === "node" && !isCertain({ read, nodeId: source.nodeId }, reader, levels, tools)) {
      const message = `"{{${text}}}" reads the node "${source.nodeId}", which may not have run by then. It gives null then.`;
      tools.problems.warn(read.place, "TEMPLATE_MAY_BE_NULL", message);
    }
  }
  warnOfResponses(reachable, tools);
}

/** Whether a place is inside of a Group, where the Group's output is the iteration's. */
function readsInside({ nodes }: Structure, { nodeId = "", field }: Place, groupId: string): boolean {
  if (nodeId === groupId) return iterationEndFields.some((start) => field.startsWith(start));
  let outer = nodes.get(nodeId)?.groupId;
  while (outer !== undefined && outer !== groupId) outer = nodes.get(outer)?.groupId;
  return outer === groupId;
}

/** Whether a node has run when a field reads it. Some of a Group's fields, and a Start's output, are read at the end of a level. */
function isCertain(
  { read, nodeId }: { readonly read: Read; readonly nodeId: string },
  reader: Node,
  levels: ReadonlyMap<string | undefined, LevelPlan>,
  { certainty }: WarningTools,
): boolean {
  const isIterationEnd = iterationEndFields.some((field) => read.place.field.startsWith(field));
  const isStartOutput = reader.kind.case === "start" && read.place.field.startsWith(startOutputField);
  const ended = isIterationEnd ? levels.get(reader.id) : isStartOutput ? levels.get(undefined) : undefined;
  return ended === undefined ? certainty.isBefore(reader, nodeId) : certainty.isAtEnd(ended, nodeId);
}

function warnOfResponses(reachable: ReadonlySet<Node>, { certainty, problems }: WarningTools): void {
  const responses = [...reachable].filter((node) => node.kind.case === "response");
  for (const node of responses) {
    const first = responses.find((other) => certainty.isAncestor(node, other.id));
    if (first !== undefined) {
      const message = `The Response "${first.id}" comes before this one and sets the response for good. This one is skipped then.`;
      problems.warn({ nodeId: node.id, field: "response" }, "RESPONSE_REPEATED", message);
    }
  }
}
