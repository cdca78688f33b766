import type { GraphNode, Level } from "../graph/graph.ts";
import type { Exit } from "./node-visit.ts";

/**
 * Decides when a node's turn has come, in one run of a level.
 *
 * Each edge is settled once: a branch arrives by it, or none can arrive any more. A node is ready when all its edges
 * are settled and one has brought a branch; where none has, the edges that leave it are settled as well.
 */
export class Joins {
  readonly #level: Level;
  readonly #open: Int32Array;
  readonly #hasArrival: Uint8Array;

  constructor(level: Level) {
    this.#level = level;
    this.#open = Int32Array.from(level.nodes, (node) => node.inputs);
    this.#hasArrival = new Uint8Array(level.nodes.length);
  }

  /** The nodes that are ready when the level begins. */
  enter(): readonly GraphNode[] {
    return this.#settle(this.#level.entries, []);
  }

  /** The nodes that are ready because this one was left so. */
  leave(node: GraphNode, exit: Exit): readonly GraphNode[] {
    const others = Object.entries(node.ports).flatMap(([name, targets]) => (name === exit ? [] : targets));
    return this.#settle(exit === "nowhere" ? [] : (node.ports[exit] ?? []), others);
  }

  #settle(arriving: readonly number[], missing: readonly number[]): readonly GraphNode[] {
    for (const place of arriving) {
      this.#hasArrival[place] = 1;
    }
    const ready: GraphNode[] = [];
    const edges = [...arriving, ...missing];
    for (const place of edges) {
      const open = (this.#open[place] ?? 0) - 1;
      this.#open[place] = open;
      const node = this.#level.nodes[place];
      if (open > 0 || node === undefined) {
        continue;
      }
      if (this.#hasArrival[place] === 1) {
        ready.push(node);
      } else {
        edges.push(...Object.values(node.ports).flat());
      }
    }
    return ready;
  }
}
