import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";
import type { Link, Structure } from "./check-structure.ts";

/** The nodes that one run goes through: outside of Groups, or inside one Group. */
export type LevelPlan = {
  /** The Group, absent outside of Groups. */
  readonly group?: Node;
  /** The reachable nodes, each behind all that lead to it. */
  readonly nodes: readonly Node[];
  readonly entries: readonly Node[];
  /** The edges between these nodes. */
  readonly links: readonly Link[];
};

/** Gives the level outside of Groups first, and each Group's level behind the one that the Group is in. */
export function planLevels(structure: Structure): readonly LevelPlan[] {
  const plans: LevelPlan[] = [planLevel([structure.start], structure.edges)];
  for (const plan of plans) {
    for (const group of plan.nodes.filter((node) => node.kind.case === "group")) {
      const entries = structure.edges.filter((edge) => edge.source === group && edge.port === "each");
      plans.push({ group, ...planLevel([...new Set(entries.map((edge) => edge.target))], structure.edges) });
    }
  }
  return plans;
}

function planLevel(entries: readonly Node[], edges: readonly Link[]): Omit<LevelPlan, "group"> {
  const outgoing = Map.groupBy(
    edges.filter((edge) => edge.port !== "each"),
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
  // A node finishes behind all that it leads to, so the reverse is an order to run them in.
  const nodes = [...finished].reverse();
  return { nodes, entries, links: nodes.flatMap((node) => outgoing.get(node) ?? []) };
}
