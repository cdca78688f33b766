import { type ExecutionError, errorPort, type NodeRun } from "../../domain/execution.ts";
import { shownError } from "../errors/shown-error.ts";
import { type Exit, type GraphNode, nowhere } from "../graph/graph.ts";
import { NodeVisit } from "./node-visit.ts";
import type { RunSubgraph, SubgraphRun } from "./run.ts";
import { replayStoppedGroup } from "./run-group.ts";
import { replayStoppedTryCatch } from "./run-try-catch.ts";

type Around = { readonly subgraph: SubgraphRun; readonly runSubgraph: RunSubgraph };

/** Replays a recorded node: its outputs, its port and its failure take effect again. */
export function replayNode(
  node: GraphNode,
  recalled: NodeRun,
  { subgraph, runSubgraph }: Around,
): Exit | undefined | Promise<undefined> {
  const { state, boundary, outputs } = subgraph;
  boundary.countIterations(recalled.iterations ?? 0);
  switch (recalled.state) {
    case "STOPPED":
      // The node that stopped it has a record too, which ends the run again.
      return replayStopped(node, { subgraph, runSubgraph });
    case "ERRORED":
    case "TIMED_OUT":
      return replayFailure(node, recalled, subgraph);
    default:
  }
  if (node.step.kind === "start") {
    outputs.setValue(node.id, state.run.event.body);
  } else if (recalled.state === "SKIPPED" || recalled.state === "ERRORED_AND_SKIPPED") {
    outputs.setNone(node.id, { state: recalled.state, error: recalled.error, errors: recalled.errors });
  } else if (recalled.output !== undefined) {
    outputs.setText(node.id, recalled.output, recalled.errors);
  }
  if (node.step.kind === "terminate" && recalled.state === "SUCCESS") {
    state.boundary.terminate(undefined, state.run.journal.positionOf(recalled.path));
    return undefined;
  }
  return recalled.port ?? node.defaultPort;
}

/** Inside of a node that was stopped there may be the Terminate that did it. */
function replayStopped(node: GraphNode, { subgraph, runSubgraph }: Around): Promise<undefined> | undefined {
  const { step } = node;
  if (step.kind === "group") {
    return replayStoppedGroup({ step, visit: new NodeVisit(node, subgraph), runSubgraph });
  }
  return step.kind === "try_catch"
    ? replayStoppedTryCatch({ step, visit: new NodeVisit(node, subgraph), runSubgraph })
    : undefined;
}

/**
 * A Terminate, or the limit of the records, has ended the whole run. Any other failure has ended its own subgraph, or the branch
 * has gone on at the port `error`.
 */
function replayFailure(node: GraphNode, recalled: NodeRun, { state, boundary, outputs }: SubgraphRun): Exit {
  const error: ExecutionError = recalled.error ?? {
    reason: "SERVER_ERROR",
    message: "The node failed.",
    node_id: node.id,
  };
  const failure = shownError(error, node);
  const position = state.run.journal.positionOf(recalled.path);
  if (failure.reason === "TERMINATED" || failure.reason === "RECORDS_TOO_LARGE") {
    state.boundary.terminate(failure, position);
    return nowhere;
  }
  outputs.setFailure(node.id, { state: recalled.state, error, errors: recalled.errors });
  if (recalled.port === errorPort) {
    return errorPort;
  }
  boundary.fail(failure, position);
  return nowhere;
}
