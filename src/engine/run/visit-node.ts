import type { JsonText } from "../../domain/json/json-text.ts";
import { unreachable } from "../../domain/unreachable.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { Exit, GraphNode, Port, ResponseStep, Step } from "../graph/graph.ts";
import { checkOutput } from "../values/check-output.ts";
import { NodeVisit } from "./node-visit.ts";
import { replayNode } from "./replay-node.ts";
import type { RunSubgraph, SubgraphRun } from "./run.ts";
import { runGroup } from "./run-group.ts";
import { runLeaf } from "./run-leaf.ts";
import { runSwitch } from "./run-switch.ts";
import { runTryCatch } from "./run-try-catch.ts";

type Maybe<Value> = Value | undefined | Promise<Value | undefined>;

/** A visit that has failed at once. Its caller fails it, once the nodes beside it have begun. */
export type FailedVisit = { readonly visit: NodeVisit; readonly error: unknown };

/**
 * Runs or replays one node. Gives the exit of its branch, or undefined where the node was stopped or ends the run; a promise
 * only if the node waits for something.
 */
export function visitNode(node: GraphNode, subgraph: SubgraphRun, runSubgraph: RunSubgraph): Maybe<Exit> | FailedVisit {
  const { state, boundary } = subgraph;
  if (state.isReplay) {
    const recalled = state.run.journal.recall(subgraph.prefix + node.id);
    if (recalled !== undefined && recalled.state !== "WAITING") {
      return replayNode(node, recalled, { subgraph, runSubgraph });
    }
  }
  if (boundary.isStopped) {
    return undefined;
  }
  const visit = new NodeVisit(node, subgraph);
  try {
    const exit =
      node.conditions === undefined ? runStep(node.step, visit, runSubgraph) : runConditionally(visit, runSubgraph);
    return exit instanceof Promise ? exit.catch((error: unknown) => visit.fail(error)) : exit;
  } catch (error) {
    return { visit, error };
  }
}

function runConditionally(visit: NodeVisit, runSubgraph: RunSubgraph): Maybe<Port> {
  const { node, scope, subgraph } = visit;
  const isMet = node.conditions?.(scope, subgraph);
  const go = (met: boolean | undefined) => (met === false ? visit.skip() : runStep(node.step, visit, runSubgraph));
  return isMet instanceof Promise ? isMet.then(go) : go(isMet);
}

function runStep(step: Step, visit: NodeVisit, runSubgraph: RunSubgraph): Maybe<Port> {
  const { state, outputs } = visit.subgraph;
  switch (step.kind) {
    case "leaf": {
      const output = runLeaf(step, visit);
      return output instanceof Promise ? output.then((text) => visit.succeed(text)) : visit.succeed(output);
    }
    case "group":
      visit.attempts = 1;
      visit.enter();
      return runGroup({ step, visit, runSubgraph }).then((output) => visit.succeed(output));
    case "try_catch":
      visit.enter();
      return runTryCatch({ step, visit, runSubgraph }).then((output) => visit.succeed(output));
    case "start":
      visit.attempts = 1;
      // The execution stores its payload, so the record does not repeat it.
      outputs.setValue(visit.node.id, state.run.event.body);
      return visit.succeed(undefined);
    case "rule": {
      visit.attempts = 1;
      const isSatisfied = step.holds(visit.scope, visit.subgraph);
      return isSatisfied instanceof Promise
        ? isSatisfied.then((holds) => succeedRule(visit, holds))
        : succeedRule(visit, isSatisfied);
    }
    case "switch":
      visit.attempts = 1;
      return runSwitch(step, visit);
    case "merge":
      visit.attempts = 1;
      return merge(step, visit);
    case "response":
      return respond(step, visit);
    case "terminate": {
      visit.attempts = 1;
      const message = step.message?.render(visit.scope);
      const output: JsonText | undefined =
        message === undefined ? undefined : checkOutput(message, state.run.limits.output);
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

function succeedRule(visit: NodeVisit, isSatisfied: boolean): Port {
  const output = checkOutput({ satisfied: isSatisfied }, visit.subgraph.state.run.limits.output);
  return visit.succeed(output, isSatisfied ? "true" : "false");
}

/** A branch that was not taken is no failure: only one that ended at a failed node is. */
function merge({ requiresAll }: Extract<Step, { readonly kind: "merge" }>, visit: NodeVisit): Port {
  const { arrivals, state } = visit.subgraph;
  const failed = requiresAll ? arrivals?.failedBefore(visit.node.id) : undefined;
  if (failed !== undefined && failed.length > 0) {
    const message = `No branch arrived from ${failed.map((id) => `"${id}"`).join(", ")}, because a node failed there.`;
    throw new NodeFailure("MERGE_INCOMPLETE", message);
  }
  const arrived = arrivals?.arrivedAt(visit.node.id) ?? [];
  return visit.succeed(checkOutput({ arrived }, state.run.limits.output));
}

function respond({ response: template, statusCode }: ResponseStep, visit: NodeVisit): Port {
  const { state } = visit.subgraph;
  if (state.answer !== undefined) {
    visit.scope.note("Another Response has already set the response.");
    return visit.skip();
  }
  visit.attempts = 1;
  // The output of another node has been checked, under the same limits.
  const known = template.lone && visit.scope.outputTextOf(template.lone);
  const response = known ?? checkOutput(template.render(visit.scope), state.run.limits.output);
  const exit = visit.succeed(response);
  state.answer = { response, ...(statusCode !== undefined && { statusCode }) };
  return exit;
}
