import type { JsonValue } from "@bufbuild/protobuf";
import type { NodeRun } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import { unreachable } from "../../domain/unreachable.ts";
import type { Exit, GraphNode, Port, Step } from "../graph/graph.ts";
import { checkOutput } from "../values/check-output.ts";
import { NodeVisit, publicFailure } from "./node-visit.ts";
import type { RunSubgraph, SubgraphRun } from "./run.ts";
import { replayStoppedGroup, runGroup } from "./run-group.ts";
import { runLeaf } from "./run-leaf.ts";

/** Runs or replays one node. Gives the exit of its branch, or undefined where the node was stopped or ends the run. */
export async function visitNode(
  node: GraphNode,
  subgraph: SubgraphRun,
  runSubgraph: RunSubgraph,
): Promise<Exit | undefined> {
  const { state, boundary, prefix } = subgraph;
  const recalled = state.run.journal.recall(prefix + node.id);
  if (recalled !== undefined && recalled.state !== "WAITING") {
    if (recalled.state === "STOPPED" && node.step.kind === "group") {
      await replayStoppedGroup({ step: node.step, visit: new NodeVisit(node, subgraph), runSubgraph });
    }
    return replayNode(node, recalled, subgraph);
  }
  if (boundary.signal.aborted) {
    return undefined;
  }
  const visit = new NodeVisit(node, subgraph);
  try {
    const isMet = node.conditions?.(visit.scope, subgraph);
    if ((isMet instanceof Promise ? await isMet : isMet) === false) {
      return visit.skip();
    }
    return await runStep(node.step, visit, runSubgraph);
  } catch (error) {
    return visit.fail(error);
  }
}

/** Replays a recorded node: its outputs, its port and its failure take effect again. */
function replayNode(node: GraphNode, recalled: NodeRun, subgraph: SubgraphRun): Exit | undefined {
  const { state, boundary, outputs } = subgraph;
  boundary.countIterations(recalled.iterations ?? 0);
  switch (recalled.state) {
    case "STOPPED":
      // The node that stopped it has a record too, which ends the run again.
      return undefined;
    case "ERRORED":
    case "TIMED_OUT":
      replayFailure(node, recalled, subgraph);
      return "nowhere";
    default:
  }
  if (node.step.kind === "start") {
    outputs.setValue(node.id, state.run.event.body);
  } else if (recalled.state === "SKIPPED" || recalled.state === "ERRORED_AND_SKIPPED") {
    outputs.setNone(node.id);
  } else if (recalled.output !== undefined) {
    outputs.setText(node.id, recalled.output);
  }
  if (node.step.kind === "terminate" && recalled.state === "SUCCESS") {
    state.boundary.terminate(undefined, state.run.journal.positionOf(recalled.path));
    return undefined;
  }
  return portOf(recalled.port) ?? node.defaultPort;
}

/** A Terminate, or the limit of the records, has ended the whole run. Any other failure has ended its own subgraph. */
function replayFailure(node: GraphNode, { error, path }: NodeRun, { state, boundary }: SubgraphRun): void {
  const failure = publicFailure(
    node,
    error ?? { reason: "SERVER_ERROR", message: "The node failed.", node_id: node.id },
  );
  const position = state.run.journal.positionOf(path);
  if (failure.reason === "TERMINATED" || failure.reason === "RECORDS_TOO_LARGE") {
    state.boundary.terminate(failure, position);
  } else {
    boundary.fail(failure, position);
  }
}

function portOf(recorded: string | undefined): Port | undefined {
  return recorded === "true" || recorded === "false" || recorded === "next" ? recorded : undefined;
}

async function runStep(step: Step, visit: NodeVisit, runSubgraph: RunSubgraph): Promise<Port | undefined> {
  const { state, outputs } = visit.subgraph;
  const check = (value: JsonValue) => checkOutput(value, state.run.limits.output);
  switch (step.kind) {
    case "leaf":
      return visit.succeed(await state.run.journal.work(() => runLeaf(step, visit), visit.subgraph.boundary.signal));
    case "group":
      visit.attempts = 1;
      state.run.journal.enter(visit);
      return visit.succeed(await runGroup({ step, visit, runSubgraph }));
    case "start":
      visit.attempts = 1;
      // The execution stores its payload, so the record does not repeat it.
      outputs.setValue(visit.node.id, state.run.event.body);
      return visit.succeed(undefined);
    case "rule": {
      visit.attempts = 1;
      const holds = step.holds(visit.scope, visit.subgraph);
      const isSatisfied = holds instanceof Promise ? await holds : holds;
      return visit.succeed(check({ satisfied: isSatisfied }), isSatisfied ? "true" : "false");
    }
    case "response": {
      if (state.answer !== undefined) {
        visit.scope.note("Another Response has already set the response.");
        return visit.skip();
      }
      visit.attempts = 1;
      const response = check(step.response.render(visit.scope));
      const exit = visit.succeed(response);
      state.answer = { response, ...(step.statusCode !== undefined && { statusCode: step.statusCode }) };
      return exit;
    }
    case "terminate": {
      visit.attempts = 1;
      const message = step.message?.render(visit.scope);
      const output: JsonText | undefined = message === undefined ? undefined : check(message);
      if (!step.isError) {
        return visit.terminate(output, undefined);
      }
      const text = message || "The workflow was terminated with an error.";
      return visit.terminate(output, visit.describe({ reason: "TERMINATED", message: text }));
    }
    default:
      return unreachable(step);
  }
}
