import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";

/** The nodes of one circle, the first named again at its end, and the edge that closes it. */
type Cycle<Link> = { readonly ids: readonly string[]; readonly closing: Link };

/** Circles that are looked for: each may name all nodes, and more than a few help nobody. */
const cyclesMax = 20;

/** Finds a circle for each edge that leads back to a node on the way to it, up to 20. Without circles there is none to find. */
export function findCycles<Link extends { readonly source: Node; readonly target: Node }>(
  ids: readonly string[],
  links: readonly Link[],
): readonly Cycle<Link>[] {
  const outgoing = Map.groupBy(links, (link) => link.source.id);
  const cycles: Cycle<Link>[] = [];
  const isFinished = new Set<string>();
  const way: string[] = [];

  const follow = (id: string): void => {
    way.push(id);
    for (const link of outgoing.get(id) ?? []) {
      const next = link.target.id;
      const place = way.indexOf(next);
      if (place >= 0) {
        if (cycles.length < cyclesMax) cycles.push({ ids: [...way.slice(place), next], closing: link });
      } else if (!isFinished.has(next)) {
        follow(next);
      }
    }
    way.pop();
    isFinished.add(id);
  };

  for (const id of ids) {
    if (!isFinished.has(id)) {
      follow(id);
    }
  }
  return cycles;
}
