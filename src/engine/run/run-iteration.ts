import type { JsonObject } from "@bufbuild/protobuf";
import type { ExecutionError, NodeRun } from "../../domain/execution.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { GroupStep } from "../graph/graph.ts";
import { checkOutput } from "../values/check-output.ts";
import type { Boundary } from "./boundary.ts";
import { type LevelRun, type RunLevel, toldOf, type Visit } from "./node-visit.ts";
import { Outputs, RunScope } from "./run-scope.ts";

/** One visit of a Group. */
export type GroupRun = { readonly step: GroupStep; readonly visit: Visit; readonly runLevel: RunLevel };

/** What an earlier run recorded of an iteration. */
export function recallIteration({ visit }: GroupRun, index: number): NodeRun | undefined {
  return visit.level.state.run.journal.recall(pathOf(visit, index));
}

/**
 * Runs one iteration, or recalls it, and gives its record. Undefined where it was stopped: the run or the iteration
 * around it is over, or was before.
 *
 * @param body what the Group's output is inside of the iteration
 */
export async function runIteration(group: GroupRun, index: number, body: JsonObject): Promise<NodeRun | undefined> {
  const { step, visit, runLevel } = group;
  const { level, node } = visit;
  const recalled = recallIteration(group, index);
  if (recalled?.state === "STOPPED") {
    await replayStoppedIteration(group, index);
    return undefined;
  }
  if (recalled !== undefined) {
    level.boundary.countIterations(recalled.iterations ?? 0);
    return recalled;
  }
  const { journal, clock } = level.state.run;
  const path = pathOf(visit, index);
  const startTime = journal.beganAt(path) ?? clock.now();
  const boundary = level.boundary.inside();
  const outputs = new Outputs(level.outputs);
  outputs.setValue(node.id, body);
  await runLevel(step.level, { state: level.state, boundary, outputs, prefix: `${path}/` });
  const end = level.boundary.signal.aborted ? undefined : await endOf(group, boundary, outputs);
  if (end === undefined && !level.boundary.isOver) {
    // What an outside signal interrupts leaves no record, so that a replay goes on with it.
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
    journal.record(run);
    return run;
  } catch (error) {
    return visit.endRun(error);
  }
}

/**
 * Goes through an iteration that was stopped, inside of a boundary that has ended: what is recorded answers, the
 * Terminate that ended the run above all, and nothing starts.
 */
export async function replayStoppedIteration({ step, visit, runLevel }: GroupRun, index: number): Promise<void> {
  const { level } = visit;
  const boundary = level.boundary.inside();
  boundary.end();
  const outputs = new Outputs(level.outputs);
  await runLevel(step.level, { state: level.state, boundary, outputs, prefix: `${pathOf(visit, index)}/` });
}

function pathOf(visit: Visit, index: number): string {
  return `${visit.path}[${index}]`;
}

type IterationEnd = Pick<NodeRun, "state" | "output" | "error" | "port" | "notes">;

/** How an iteration ends whose nodes have run; undefined where it is stopped before that is decided. */
async function endOf(group: GroupRun, boundary: Boundary, outputs: Outputs): Promise<IterationEnd | undefined> {
  const { step, visit } = group;
  const scope = new RunScope(visit.level.state.run, outputs);
  const result = boundary.failure === undefined ? outputOf(group, scope) : errored(boundary.failure);
  const mayGoOn = result.error === undefined || step.allowsPartialSuccess;
  try {
    const port = mayGoOn ? await portBehind(step, scope, visit.level) : undefined;
    if (visit.level.boundary.signal.aborted) return undefined;
    return { ...result, ...(port && { port }), ...(scope.notes.length > 0 && { notes: scope.notes }) };
  } catch (error) {
    if (visit.level.boundary.signal.aborted) return undefined;
    throw error;
  }
}

function outputOf({ step, visit }: GroupRun, scope: RunScope): IterationEnd {
  try {
    const { output } = visit.level.state.run.limits;
    return { state: "SUCCESS", output: checkOutput(step.output?.render(scope), output) };
  } catch (error) {
    if (!(error instanceof NodeFailure)) {
      throw error;
    }
    return errored(toldOf(visit.node, visit.describe(error)));
  }
}

function errored(error: ExecutionError): IterationEnd {
  return { state: "ERRORED", error };
}

/** Which port of the Group follows: what was decided is recorded, since a replay does not look into the iteration. */
async function portBehind(
  { mode, breakWhen }: GroupStep,
  scope: RunScope,
  level: LevelRun,
): Promise<"each" | "next" | undefined> {
  if (mode.kind !== "do_while" && breakWhen === undefined) {
    return undefined;
  }
  const isOver =
    (await breakWhen?.(scope, level)) || (mode.kind === "do_while" && !(await mode.condition(scope, level)));
  return isOver ? "next" : "each";
}
