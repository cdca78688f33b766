import type { Clock } from "../../domain/clock.ts";
import type { Outcome } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { Graph, GraphNode, Level } from "../graph/graph.ts";
import { findAnswer } from "../graph/recorded-answer.ts";
import type { HttpClient } from "../http/http-client.ts";
import type { Journal } from "../journal/journal.ts";
import type { ProcessPool } from "../pool/process-pool.ts";
import { checkOutput } from "../values/check-output.ts";
import { Joins } from "./joins.ts";
import { type LevelRun, RunState } from "./node-visit.ts";
import { Outputs, RunScope, type RunValues } from "./run-scope.ts";
import { visitNode } from "./visit-node.ts";
import type { Turns } from "./yield-to-event-loop.ts";

/** One execution as the engine sees it. */
export type Run = RunValues & {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly journal: Journal;
  /** Whether records say what the templates of their nodes gave. */
  readonly keepsInputs?: boolean;
  /** Whose turn it is where runs share something: an organisation's, and of that an environment's. */
  readonly organizationId: string;
  /** Calls to the outside share their connections with those of the same environment only. */
  readonly environmentId: string;
  readonly http: Pick<HttpClient, "send">;
  /** Where what cannot be bounded in line is computed. */
  readonly pool: Pick<ProcessPool, "run">;
  /** When it may go on that has held the thread for long. */
  readonly turns: Turns;
  /** Aborts when the run must end for a reason from outside. What is under way then leaves no record. */
  readonly signal: AbortSignal;
};

/**
 * Runs a graph from its start to its end: COMPLETED or ERRORED. What the journal recalls answers at once.
 *
 * Independent branches run side by side. Nothing of the run is under way any more when this settles. Rejects with the
 * signal's reason when that aborts first, and with the fault where journal, clock or engine have one.
 */
export async function runGraph(graph: Graph, run: Run): Promise<Outcome> {
  run.signal.throwIfAborted();
  const state = new RunState(run, graph);
  const outputs = new Outputs();
  // The response that an earlier run recorded stands, though a replay may come to another Response first.
  state.answer = findAnswer(graph, (path) => run.journal.recall(path));
  await runLevel(graph.root, { state, boundary: state.boundary, outputs, prefix: "" });
  if (state.crash !== undefined) {
    throw state.crash.error;
  }
  if (!state.boundary.isOver) {
    run.signal.throwIfAborted();
  }
  return outcomeOf(graph, state, outputs);
}

async function runLevel(level: Level, run: LevelRun): Promise<void> {
  const joins = new Joins(level);
  // Never rejects: whatever goes wrong, the branches beside it are waited for.
  const runBranch = async (node: GraphNode): Promise<void> => {
    try {
      const exit = await visitNode(node, run, runLevel);
      if (exit !== undefined) {
        // Before what follows begins, so that all of it begins together, however busy the process is.
        const resting = run.state.rest();
        if (resting !== undefined) await resting;
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
