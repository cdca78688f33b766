import type { Exit, GraphNode, Subgraph } from "../graph/graph.ts";

/**
 * Decides when nodes are ready, in one run of a subgraph. It is a dead-path elimination over the edges: each edge is settled
 * once, either because a branch arrives by it or because none can arrive any more. A node is ready when all its edges are
 * settled and a branch has arrived by one of them. Where none has, the edges that leave the node are settled as well.
 */
export class Joins {
  readonly #subgraph: Subgraph;
  readonly #open: Int32Array;
  readonly #hasArrival: Uint8Array;

  constructor(subgraph: Subgraph) {
    this.#subgraph = subgraph;
    this.#open = Int32Array.from(subgraph.nodes, (node) => node.inputs);
    this.#hasArrival = new Uint8Array(subgraph.nodes.length);
  }

  /** The nodes that are ready at the start. */
  enter(): readonly GraphNode[] {
    return this.#settle(this.#subgraph.entries, []);
  }

  /** The nodes that become ready because the branch leaves this node by this exit. */
  leave(node: GraphNode, exit: Exit): readonly GraphNode[] {
    const others = Object.entries(node.ports).flatMap(([name, targets]) => (name === exit ? [] : targets));
    return this.#settle(exit === "nowhere" ? [] : (node.ports[exit] ?? []), others);
  }

  #settle(arriving: readonly number[], missing: readonly number[]): readonly GraphNode[] {
    for (const index of arriving) {
      this.#hasArrival[index] = 1;
    }
    const ready: GraphNode[] = [];
    const edges = [...arriving, ...missing];
    for (const index of edges) {
      const open = (this.#open[index] ?? 0) - 1;
      this.#open[index] = open;
      const node = this.#subgraph.nodes[index];
      if (open > 0 || node === undefined) {
        continue;
      }
      if (this.#hasArrival[index] === 1) {
        ready.push(node);
      } else {
        edges.push(...Object.values(node.ports).flat());
      }
    }
    return ready;
  }
}
