import type { WorkflowDefinition } from "../../gen/flowcall/v1/definition_pb.ts";

/**
 * The ids of the nodes that nothing leads to from the Start. Empty where there is no Start: then it is not known which ones
 * are meant to run.
 */
export function leftOutOf({ nodes, edges }: Pick<WorkflowDefinition, "nodes" | "edges">): ReadonlySet<string> {
  const starts = nodes.filter(({ kind }) => kind.case === "start");
  if (starts.length === 0) return new Set();
  const leaving = Map.groupBy(edges, ({ source }) => source);
  const reached = new Set(starts.map(({ id }) => id));
  for (const id of reached) for (const { target } of leaving.get(id) ?? []) reached.add(target);
  return new Set(nodes.map(({ id }) => id).filter((id) => !reached.has(id)));
}
