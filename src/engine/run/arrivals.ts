import { type Exit, type Input, nowhere, type Subgraph } from "../graph/graph.ts";

/** The branches of one run of a subgraph, for its Merges: how each left the node where it was last. */
export class Arrivals {
  readonly #inputs: NonNullable<Subgraph["inputs"]>;
  readonly #exits = new Map<string, Exit>();

  constructor(inputs: NonNullable<Subgraph["inputs"]>) {
    this.#inputs = inputs;
  }

  note(nodeId: string, exit: Exit): void {
    this.#exits.set(nodeId, exit);
  }

  /** The ids of the nodes from which a branch came to a node, in the definition's order of the edges. */
  arrivedAt(nodeId: string): readonly string[] {
    return [...new Set(this.#inputsOf(nodeId, (input) => this.#hasArrived(input)))];
  }

  /** The ids of the nodes from which no branch came because a node failed: that one, or one before it. */
  failedBefore(nodeId: string): readonly string[] {
    const arrived = this.arrivedAt(nodeId);
    const failed = this.#inputsOf(
      nodeId,
      (input) => !this.#hasArrived(input) && this.#hasFailed(input.source, new Map()),
    );
    return [...new Set(failed)].filter((id) => !arrived.includes(id));
  }

  #inputsOf(nodeId: string, isWanted: (input: Input) => boolean): readonly string[] {
    return (this.#inputs.get(nodeId) ?? []).filter(isWanted).map(({ source }) => source);
  }

  #hasArrived({ source, port }: Input): boolean {
    return this.#exits.get(source) === port;
  }

  /** Whether the node has failed, or has not run because one before it has. */
  #hasFailed(nodeId: string, known: Map<string, boolean>): boolean {
    const exit = this.#exits.get(nodeId);
    if (exit !== undefined) {
      return exit === nowhere;
    }
    let failed = known.get(nodeId);
    if (failed === undefined) {
      failed = (this.#inputs.get(nodeId) ?? []).some(({ source }) => this.#hasFailed(source, known));
      known.set(nodeId, failed);
    }
    return failed;
  }
}
