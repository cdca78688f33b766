import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";
import type { ProblemLocation, Problems } from "../errors/problems.ts";
import type { Names, Read } from "../templates/names.ts";
import type { Structure } from "./check-structure.ts";
import { iterationEndFields } from "./compile-group.ts";
import { tryCatchFields } from "./compile-try-catch.ts";
import type { Dominators } from "./dominators.ts";
import type { SubgraphPlan } from "./plan-subgraphs.ts";
import { startOutputField } from "./start-output.ts";
import { type KnownValues, ReadWarnings } from "./warn-of-reads.ts";

type WarningTools = {
  readonly dominators: Dominators;
  readonly names: Names;
  readonly problems: Problems;
  readonly known: Omit<KnownValues, "isInside">;
};

/** Warns of nodes that never run, of templates that may read nothing, and of a Response that runs after another one. */
export function warnOfGraph(structure: Structure, plans: readonly SubgraphPlan[], tools: WarningTools): void {
  const reachable = new Set(plans.flatMap((plan) => plan.nodes));
  for (const node of structure.nodes.values()) {
    if (!reachable.has(node)) {
      const message = `No edge leads to the node "${node.id}", so it never runs. Connect it or remove it.`;
      tools.problems.warn({ nodeId: node.id, field: "id" }, "NODE_UNREACHABLE", message);
    }
  }
  const planOf = (groupId: string | undefined, port: string | undefined) =>
    plans.find((plan) => plan.group?.id === groupId && plan.port === port);
  const isInside = (location: ProblemLocation, groupId: string) => readsInside(structure, location, groupId);
  const warnings = new ReadWarnings({ ...tools.known, isInside }, tools.problems);
  for (const read of tools.names.reads) {
    const reader = structure.nodes.get(read.location.nodeId ?? "");
    if (reader === undefined || !reachable.has(reader) || warnings.warn(read)) {
      continue;
    }
    const { source, text } = read.reference;
    if (source.kind === "node" && !hasRun({ read, nodeId: source.nodeId }, reader, planOf, tools)) {
      const message = `"{{${text}}}" reads the node "${source.nodeId}", which may not have run by then. In that case it gives null.`;
      tools.problems.warn(read.location, "TEMPLATE_MAY_BE_NULL", message);
    }
  }
  warnOfResponses(reachable, tools);
  warnOfMerges(plans, tools.problems);
}

function warnOfMerges(plans: readonly SubgraphPlan[], problems: Problems): void {
  for (const { nodes, links } of plans) {
    for (const node of nodes.filter(({ kind }) => kind.case === "merge")) {
      if (links.filter(({ target }) => target === node).length < 2) {
        const message =
          "A Merge joins branches, and fewer than two edges lead to this one. Connect another, or remove it.";
        problems.warn({ nodeId: node.id, field: "merge" }, "MERGE_SINGLE", message);
      }
    }
  }
}

/** Whether a field is evaluated inside of a Group, where the value of the Group is that of the iteration. */
function readsInside({ nodes }: Structure, { nodeId = "", field }: ProblemLocation, groupId: string): boolean {
  if (nodeId === groupId) {
    return iterationEndFields.some((start) => field.startsWith(start));
  }
  let outer = nodes.get(nodeId)?.groupId;
  while (outer !== undefined && outer !== groupId) {
    outer = nodes.get(outer)?.groupId;
  }
  return outer === groupId;
}

/** Whether a node has run when a field reads it. A Start's output and some fields are read at the end of a subgraph. */
function hasRun(
  { read, nodeId }: { readonly read: Read; readonly nodeId: string },
  reader: Node,
  planOf: (groupId: string | undefined, port: string | undefined) => SubgraphPlan | undefined,
  { dominators }: WarningTools,
): boolean {
  const { field } = read.location;
  if (reader.kind.case === "start" && field.startsWith(startOutputField)) {
    return isAtEnd(planOf(undefined, undefined));
  }
  if (iterationEndFields.some((start) => field.startsWith(start))) {
    return isAtEnd(planOf(reader.id, "each"));
  }
  const port = tryCatchFields.get(field);
  return port === undefined ? dominators.hasRunBefore(reader, nodeId) : isAtEnd(planOf(reader.id, port));

  function isAtEnd(plan: SubgraphPlan | undefined): boolean {
    return plan === undefined || dominators.hasRunAtEnd(plan, nodeId);
  }
}

function warnOfResponses(reachable: ReadonlySet<Node>, { dominators, problems }: WarningTools): void {
  const responses = [...reachable].filter((node) => node.kind.case === "response");
  for (const node of responses) {
    const first = responses.find((other) => dominators.isAncestor(node, other.id));
    if (first !== undefined) {
      const message = `The Response "${first.id}" runs before this one and sets the response. This one is skipped.`;
      problems.warn({ nodeId: node.id, field: "response" }, "RESPONSE_REPEATED", message);
    }
  }
}
