import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";
import type { InnerPort } from "../graph/graph.ts";
import { innerPorts } from "../graph/graph.ts";
import { isContainer, isInnerPort, type Link, type Structure } from "./check-structure.ts";

/** A subgraph before its nodes are linked. */
export type SubgraphPlan = {
  /** The Group or Try & Catch whose subgraph it is. Absent for the outermost nodes. */
  readonly group?: Node;
  /** The port of that node which leads to the entries. */
  readonly port?: InnerPort;
  /** The reachable nodes in topological order. */
  readonly nodes: readonly Node[];
  readonly entries: readonly Node[];
  /** The edges between these nodes. */
  readonly links: readonly Link[];
};

/** Divides the reachable nodes into subgraphs. The outermost comes first, and each one after the one that holds its `group`. */
export function planSubgraphs(structure: Structure): readonly SubgraphPlan[] {
  const plans: SubgraphPlan[] = [planSubgraph([structure.start], structure.edges)];
  for (const plan of plans) {
    for (const group of plan.nodes.filter(isContainer)) {
      for (const port of innerPorts.filter((one) => (one === "each") === (group.kind.case === "group"))) {
        const entries = structure.edges.filter((edge) => edge.source === group && edge.port === port);
        plans.push({ group, port, ...planSubgraph([...new Set(entries.map((edge) => edge.target))], structure.edges) });
      }
    }
  }
  return plans;
}

/** Topological sort by depth-first search, in O(nodes + edges). */
function planSubgraph(entries: readonly Node[], edges: readonly Link[]): Omit<SubgraphPlan, "group" | "port"> {
  const outgoing = Map.groupBy(
    edges.filter((edge) => !isInnerPort(edge.port)),
    (edge) => edge.source,
  );
  const finished = new Set<Node>();
  const follow = (node: Node): void => {
    for (const link of outgoing.get(node) ?? []) {
      if (!finished.has(link.target)) {
        follow(link.target);
      }
    }
    finished.add(node);
  };
  for (const entry of entries) {
    if (!finished.has(entry)) {
      follow(entry);
    }
  }
  // A node is finished after all that it leads to, so the reverse is a topological order.
  const nodes = [...finished].reverse();
  return { nodes, entries, links: nodes.flatMap((node) => outgoing.get(node) ?? []) };
}
