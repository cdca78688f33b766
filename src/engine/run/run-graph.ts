// The interpreter: runs a compiled graph for one execution and gives its outcome.
//
// - A journal entry answers for a node that has run: a replay runs the graph again from its start and recomputes nothing
//   that is recorded.
// - Control flow (Rule, Group, Response, Terminate) lives here; leaves in `nodes/` never see the graph.
// - The run waits on its journal alone. It has no timers and no races of its own, so a replay takes the same way.
// - Nothing in this folder imports `compile/`, and nothing there imports this folder.

import type { Outcome } from "../../domain/execution.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { Graph, GraphNode, Subgraph } from "../graph/graph.ts";
import { recordedAnswer } from "../graph/recorded-answer.ts";
import { checkOutput } from "../values/check-output.ts";
import { Joins } from "./joins.ts";
import { type Run, RunState, type SubgraphRun } from "./run.ts";
import { Outputs, RunScope } from "./run-scope.ts";
import { visitNode } from "./visit-node.ts";

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
  state.answer = recordedAnswer(graph, (path) => run.journal.recall(path));
  await runSubgraph(graph.root, { state, boundary: state.boundary, outputs, prefix: "" });
  if (state.crash !== undefined) {
    throw state.crash.error;
  }
  if (!state.boundary.isOver) {
    run.signal.throwIfAborted();
  }
  return outcomeOf(graph, state, outputs);
}

async function runSubgraph(subgraph: Subgraph, run: SubgraphRun): Promise<void> {
  const joins = new Joins(subgraph);
  // Never rejects, because the branches beside a failed one have to be waited for.
  const runBranch = async (node: GraphNode): Promise<void> => {
    try {
      const exit = await visitNode(node, run, runSubgraph);
      if (exit !== undefined) {
        // Yields before the next nodes start, so that they start together however busy the process is.
        const yielding = run.state.yieldIfOver();
        if (yielding !== undefined) {
          await yielding;
        }
        await Promise.all(joins.leave(node, exit).map(runBranch));
      }
    } catch (error) {
      run.state.crash ??= { error };
      run.state.boundary.interrupt();
    }
  };
  await Promise.all(joins.enter().map(runBranch));
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
