import type { JsonObject } from "@bufbuild/protobuf";
import type { ExecutionError, NodeRun } from "../../domain/execution.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { shownError } from "../errors/shown-error.ts";
import type { GroupStep } from "../graph/graph.ts";
import { checkOutput } from "../values/check-output.ts";

import type { NodeVisit } from "./node-visit.ts";
import { Outputs } from "./outputs.ts";
import type { Boundary, RunSubgraph, SubgraphRun } from "./run.ts";
import { RunScope } from "./run-scope.ts";

/** One visit of a Group. */
export type GroupRun = { readonly step: GroupStep; readonly visit: NodeVisit; readonly runSubgraph: RunSubgraph };

/** The record that an earlier run left of an iteration. */
export function recallIteration({ visit }: GroupRun, index: number): NodeRun | undefined {
  const { run, isReplay } = visit.subgraph.state;
  return isReplay ? run.journal.recall(pathOf(visit, index)) : undefined;
}

/**
 * Runs one iteration, or recalls it from the journal, and gives its record. Undefined where it was stopped, in this run or
 * an earlier one, because the run or the iteration around it ended.
 *
 * @param item the value of `node.<the Group>.body` inside of the iteration
 */
export async function runIteration(group: GroupRun, index: number, item: JsonObject): Promise<NodeRun | undefined> {
  const { step, visit, runSubgraph } = group;
  const { subgraph, node } = visit;
  const recalled = recallIteration(group, index);
  if (recalled?.state === "STOPPED") {
    await replayStoppedIteration(group, index);
    return undefined;
  }
  if (recalled !== undefined) {
    subgraph.boundary.countIterations(recalled.iterations ?? 0);
    return recalled;
  }
  const { journal, clock } = subgraph.state.run;
  const path = pathOf(visit, index);
  const startTime = (subgraph.state.isReplay ? journal.beganAt(path) : undefined) ?? clock.now();
  const boundary = subgraph.boundary.inside();
  const outputs = new Outputs(subgraph.outputs, `${path}/`);
  outputs.setItem(node.id, item);
  await runSubgraph(step.subgraph, { state: subgraph.state, boundary, outputs, prefix: `${path}/` });
  boundary.close();
  const end = subgraph.boundary.isStopped ? undefined : await endOf(group, boundary, outputs);
  if (end === undefined && !subgraph.boundary.isOver) {
    // An iteration that an outside signal interrupts leaves no record, so that a replay resumes it.
    return undefined;
  }
  const run = {
    path,
    node_id: node.id,
    attempts: 1,
    start_time: startTime,
    end_time: clock.now(),
    ...(end ?? { state: "STOPPED" as const }),
    ...(node.isHidden && { is_hidden: true }),
    ...(boundary.iterations > 0 && { iterations: boundary.iterations }),
  };
  if (end === undefined) {
    journal.recordEnd(run);
    return undefined;
  }
  try {
    subgraph.state.hasRoom = journal.record(run);
    return run;
  } catch (error) {
    return visit.endRun(error);
  }
}

/**
 * Replays an iteration that was stopped, inside of a boundary that has already ended: records take effect, above all that of
 * the Terminate that ended the run, and no node starts.
 */
export async function replayStoppedIteration({ step, visit, runSubgraph }: GroupRun, index: number): Promise<void> {
  const { subgraph } = visit;
  const boundary = subgraph.boundary.inside();
  boundary.end();
  const prefix = `${pathOf(visit, index)}/`;
  const outputs = new Outputs(subgraph.outputs, prefix);
  await runSubgraph(step.subgraph, { state: subgraph.state, boundary, outputs, prefix });
}

function pathOf(visit: NodeVisit, index: number): string {
  return `${visit.path}[${index}]`;
}

type IterationEnd = Pick<NodeRun, "state" | "output" | "error" | "port" | "notes">;

/** The end of an iteration whose nodes have run. Undefined where it is stopped before that is decided. */
async function endOf(group: GroupRun, boundary: Boundary, outputs: Outputs): Promise<IterationEnd | undefined> {
  const { step, visit } = group;
  const scope = new RunScope(visit.subgraph.state.run, outputs);
  const result = boundary.failure === undefined ? outputOf(group, scope) : errored(boundary.failure);
  const mayContinue = result.error === undefined || step.allowsPartialSuccess;
  try {
    const port = mayContinue ? await nextPort(step, scope, visit.subgraph) : undefined;
    if (visit.subgraph.boundary.isStopped) {
      return undefined;
    }
    return { ...result, ...(port && { port }), ...(scope.notes.length > 0 && { notes: scope.notes }) };
  } catch (error) {
    if (visit.subgraph.boundary.isStopped) {
      return undefined;
    }
    throw error;
  }
}

function outputOf({ step, visit }: GroupRun, scope: RunScope): IterationEnd {
  try {
    const { output } = visit.subgraph.state.run.limits;
    return { state: "SUCCESS", output: checkOutput(step.output?.render(scope), output) };
  } catch (error) {
    if (!(error instanceof NodeFailure)) {
      throw error;
    }
    return errored(shownError(visit.describe(error), visit.node));
  }
}

function errored(error: ExecutionError): IterationEnd {
  return { state: "ERRORED", error };
}

/** Decides whether another iteration follows (`each`) or none (`next`). It is recorded: a replay does not evaluate it again. */
async function nextPort(
  { mode, breakWhen }: GroupStep,
  scope: RunScope,
  subgraph: SubgraphRun,
): Promise<"each" | "next" | undefined> {
  if (mode.kind !== "do_while" && breakWhen === undefined) {
    return undefined;
  }
  const isOver =
    (await breakWhen?.(scope, subgraph)) || (mode.kind === "do_while" && !(await mode.condition(scope, subgraph)));
  return isOver ? "next" : "each";
}
