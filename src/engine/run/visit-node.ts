import type { JsonValue } from "@bufbuild/protobuf";
import type { NodeRun } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json-text.ts";
import { unreachable } from "../../domain/unreachable.ts";
import type { GraphNode, Port, Step } from "../graph/graph.ts";
import { checkOutput } from "../values/check-output.ts";
import { type Exit, type LevelRun, type RunLevel, toldOf, Visit } from "./node-visit.ts";
import { replayStoppedGroup, runGroup } from "./run-group.ts";
import { runLeaf } from "./run-leaf.ts";

/** Runs or replays one node. Gives how its branch leaves it, or undefined where it was stopped or stops the run. */
export async function visitNode(node: GraphNode, level: LevelRun, runLevel: RunLevel): Promise<Exit | undefined> {
  const { state, boundary, prefix } = level;
  const recalled = state.run.journal.recall(prefix + node.id);
  if (recalled !== undefined && recalled.state !== "WAITING") {
    if (recalled.state === "STOPPED" && node.step.kind === "group") {
      await replayStoppedGroup({ step: node.step, visit: new Visit(node, level), runLevel });
    }
    return replayNode(node, recalled, level);
  }
  if (boundary.signal.aborted) {
    return undefined;
  }
  const visit = new Visit(node, level);
  try {
    const isAsked = node.conditions?.(visit.scope, level);
    if ((isAsked instanceof Promise ? await isAsked : isAsked) === false) {
      return visit.skip();
    }
    return await runStep(node.step, visit, runLevel);
  } catch (error) {
    return visit.fail(error);
  }
}

/** Answers as the node did when it ran. */
function replayNode(node: GraphNode, recalled: NodeRun, level: LevelRun): Exit | undefined {
  const { state, boundary, outputs } = level;
  boundary.countIterations(recalled.iterations ?? 0);
  switch (recalled.state) {
    case "STOPPED":
      // The record of what stopped it is there too, and ends the run again.
      return undefined;
    case "ERRORED":
    case "TIMED_OUT":
      replayFailure(node, recalled, level);
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
    state.boundary.terminate(undefined, state.run.journal.placeOf(recalled.path));
    return undefined;
  }
  return portOf(recalled.port) ?? node.defaultPort;
}

/** A Terminate ended the run, or that there was no room for records; any other failure was one of its own run of the level. */
function replayFailure(node: GraphNode, { error, path }: NodeRun, { state, boundary }: LevelRun): void {
  const failure = toldOf(node, error ?? { reason: "SERVER_ERROR", message: "The node failed.", node_id: node.id });
  const place = state.run.journal.placeOf(path);
  if (failure.reason === "TERMINATED" || failure.reason === "RECORDS_TOO_LARGE") {
    state.boundary.terminate(failure, place);
  } else {
    boundary.fail(failure, place);
  }
}

function portOf(recorded: string | undefined): Port | undefined {
  return recorded === "true" || recorded === "false" || recorded === "next" ? recorded : undefined;
}

async function runStep(step: Step, visit: Visit, runLevel: RunLevel): Promise<Port | undefined> {
  const { state, outputs } = visit.level;
  const check = (value: JsonValue) => checkOutput(value, state.run.limits.output);
  switch (step.kind) {
    case "leaf":
      return visit.succeed(await state.run.journal.work(() => runLeaf(step, visit), visit.level.boundary.signal));
    case "group":
      visit.attempts = 1;
      state.run.journal.enter(visit);
      return visit.succeed(await runGroup({ step, visit, runLevel }));
    case "start":
      visit.attempts = 1;
      // The execution keeps its payload already, so the record does not repeat it.
      outputs.setValue(visit.node.id, state.run.event.body);
      return visit.succeed(undefined);
    case "rule": {
      visit.attempts = 1;
      const holds = step.holds(visit.scope, visit.level);
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
      const told = message || "The workflow was terminated with an error.";
      return visit.terminate(output, visit.describe({ reason: "TERMINATED", message: told }));
    }
    default:
      return unreachable(step);
  }
}
