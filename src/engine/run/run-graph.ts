// The interpreter: runs a compiled graph for one execution and gives its outcome.
//
// - A journal entry answers for a node that has run: a replay runs the graph again from its start and recomputes nothing
//   that is recorded.
// - Control flow (Rule, Group, Try & Catch, Response, Terminate) lives here; leaves in `nodes/` never see the graph.
// - The run waits on its journal alone. It has no timers and no races of its own, so a replay takes the same way.
// - A node that does nothing but compute runs without a promise, and so does a chain of them.
// - Nothing in this folder imports `compile/`, and nothing there imports this folder.

import type { Outcome } from "../../domain/execution.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { Exit, Graph, GraphNode, Subgraph } from "../graph/graph.ts";
import { checkOutput } from "../values/check-output.ts";
import { Arrivals } from "./arrivals.ts";
import { Outputs } from "./outputs.ts";
import { type Run, RunState, type SubgraphRun } from "./run.ts";
import { RunScope } from "./run-scope.ts";
import { type FailedVisit, visitNode } from "./visit-node.ts";

/**
 * Runs a graph to its end: COMPLETED or ERRORED.
 *
 * Independent branches run side by side, and none is still running when this settles. Rejects with the signal's reason when
 * that aborts first, and with the error where the journal, the clock or the engine itself fails.
 */
export async function runGraph(graph: Graph, run: Run): Promise<Outcome> {
  run.signal.throwIfAborted();
  const state = new RunState(run, graph);
  const outputs = new Outputs();
  // A recorded response stays, although a replay may come to another Response node first.
  state.answer = run.answer;
  await runSubgraph(graph.root, { state, boundary: state.boundary, outputs, prefix: "" });
  if (state.crash !== undefined) {
    throw state.crash.error;
  }
  if (!state.boundary.isOver) {
    run.signal.throwIfAborted();
  }
  return outcomeOf(graph, state, outputs);
}

function runSubgraph(subgraph: Subgraph, run: SubgraphRun): Promise<void> | undefined {
  return new SubgraphWalk(subgraph, run).start();
}

/**
 * Visits the nodes of a subgraph when they are ready. It is a dead-path elimination over the edges: each edge is settled
 * once, either because a branch arrives by it or because none can arrive any more. A node is ready when all its edges are
 * settled and a branch has arrived by one of them. Where none has, the edges that leave the node are settled as well.
 */
class SubgraphWalk {
  readonly #subgraph: Subgraph;
  readonly #run: SubgraphRun;
  readonly #open: number[];
  readonly #hasArrival: boolean[] = [];
  /** The branches that wait for something. */
  #waiting = 0;
  #end: PromiseWithResolvers<void> | undefined;

  constructor(subgraph: Subgraph, run: SubgraphRun) {
    this.#subgraph = subgraph;
    this.#run = subgraph.inputs === undefined ? run : { ...run, arrivals: new Arrivals(subgraph.inputs) };
    this.#open = subgraph.nodes.map(({ inputs }) => inputs);
  }

  /** Settles when no branch is running any more, whether or not one has failed. */
  start(): Promise<void> | undefined {
    try {
      this.#visitAll(this.#settle(this.#subgraph.entries, []));
    } catch (error) {
      this.#crash(error);
    }
    if (this.#waiting === 0) {
      return undefined;
    }
    this.#end = Promise.withResolvers<void>();
    return this.#end.promise;
  }

  /** Visits nodes, and those that become ready by them. */
  #visitAll(first: readonly GraphNode[]): void {
    let ready = first;
    while (ready.length > 0) {
      ready = this.#visitTogether(ready);
      // Yields before the next nodes start, so that they start together however busy the process is.
      const yielding = ready.length === 0 ? undefined : this.#run.state.yieldIfOver();
      if (yielding !== undefined) {
        void this.#visitLater(ready, yielding);
        return;
      }
    }
  }

  /** Visits nodes that are ready at the same time: each begins, also beside one that fails at once. Gives the next nodes. */
  #visitTogether(nodes: readonly GraphNode[]): readonly GraphNode[] {
    const ready: GraphNode[] = [];
    const failures: (readonly [GraphNode, FailedVisit])[] = [];
    for (const node of nodes) {
      const visited = visitNode(node, this.#run, runSubgraph);
      if (visited instanceof Promise) {
        void this.#continue(node, visited);
      } else if (typeof visited === "object") {
        failures.push([node, visited]);
      } else if (visited !== undefined) {
        ready.push(...this.#leave(node, visited));
      }
    }
    for (const [node, { visit, error }] of failures) {
      const exit = visit.fail(error);
      if (exit !== undefined) {
        ready.push(...this.#leave(node, exit));
      }
    }
    return ready;
  }

  /** Goes on when a node has ended. Never rejects, because the branches beside a failed one have to be waited for. */
  async #continue(node: GraphNode, visited: Promise<Exit | undefined>): Promise<void> {
    this.#waiting += 1;
    try {
      const exit = await visited;
      if (exit !== undefined) {
        const yielding = this.#run.state.yieldIfOver();
        if (yielding !== undefined) {
          await yielding;
        }
        this.#visitAll(this.#leave(node, exit));
      }
    } catch (error) {
      this.#crash(error);
    }
    this.#endWait();
  }

  async #visitLater(nodes: readonly GraphNode[], yielding: Promise<void>): Promise<void> {
    this.#waiting += 1;
    try {
      await yielding;
      this.#visitAll(nodes);
    } catch (error) {
      this.#crash(error);
    }
    this.#endWait();
  }

  #endWait(): void {
    this.#waiting -= 1;
    if (this.#waiting === 0) {
      this.#end?.resolve();
    }
  }

  #crash(error: unknown): void {
    this.#run.state.crash ??= { error };
    this.#run.state.boundary.interrupt();
  }

  /** The nodes that become ready because the branch leaves this node by this exit. */
  #leave({ id, ports }: GraphNode, exit: Exit): GraphNode[] {
    this.#run.arrivals?.note(id, exit);
    const missing: number[] = [];
    for (const [port, targets] of ports) {
      if (port !== exit) {
        missing.push(...targets);
      }
    }
    return this.#settle(ports.get(exit) ?? [], missing);
  }

  #settle(arriving: readonly number[], missing: readonly number[]): GraphNode[] {
    for (const index of arriving) {
      this.#hasArrival[index] = true;
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
      if (this.#hasArrival[index] === true) {
        ready.push(node);
      } else {
        for (const targets of node.ports.values()) {
          edges.push(...targets);
        }
      }
    }
    return ready;
  }
}

function outcomeOf(graph: Graph, state: RunState, outputs: Outputs): Outcome {
  const { failure } = state.boundary;
  const { answer } = state;
  if (failure !== undefined) {
    return { state: "ERRORED", ...answer, error: failure };
  }
  if (answer !== undefined || graph.output === undefined) {
    return { state: "COMPLETED", ...answer };
  }
  try {
    const value = graph.output.render(new RunScope(state.run, outputs));
    return { state: "COMPLETED", response: checkOutput(value, state.run.limits.output) };
  } catch (error) {
    if (!(error instanceof NodeFailure)) {
      throw error;
    }
    const start = graph.root.nodes[graph.root.entries[0] ?? 0];
    return {
      state: "ERRORED",
      error: {
        reason: error.reason,
        message: error.message,
        ...(start && { node_id: start.id, node_name: start.name }),
      },
    };
  }
}
