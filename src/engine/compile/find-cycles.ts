import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";

/** The ids of the nodes of one cycle, with the first repeated at the end, and the edge that closes the cycle. */
type Cycle<Link> = { readonly ids: readonly string[]; readonly closing: Link };

/** Each cycle may name all nodes, so few of them are reported. */
const cyclesMax = 20;

/**
 * Finds a cycle for each back edge of a depth-first search, up to 20. There is a cycle exactly where there is a back edge.
 * Takes O(nodes + edges), and for each back edge the length of its path.
 */
export function findCycles<Link extends { readonly source: Node; readonly target: Node }>(
  ids: readonly string[],
  links: readonly Link[],
): readonly Cycle<Link>[] {
  const outgoing = Map.groupBy(links, (link) => link.source.id);
  const cycles: Cycle<Link>[] = [];
  const isFinished = new Set<string>();
  const path: string[] = [];

  const follow = (id: string): void => {
    path.push(id);
    for (const link of outgoing.get(id) ?? []) {
      const next = link.target.id;
      const position = path.indexOf(next);
      if (position >= 0) {
        if (cycles.length < cyclesMax) {
          cycles.push({ ids: [...path.slice(position), next], closing: link });
        }
      } else if (!isFinished.has(next)) {
        follow(next);
      }
    }
    path.pop();
    isFinished.add(id);
  };

  for (const id of ids) {
    if (!isFinished.has(id)) {
      follow(id);
    }
  }
  return cycles;
}
