import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ExecutionError, NodeRun } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import { timeoutMark } from "../../domain/under-way.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { TryCatchStep } from "../graph/graph.ts";
import type { Template } from "../templates/reference.ts";
import { checkOutput } from "../values/check-output.ts";
import { failedState, type NodeVisit } from "./node-visit.ts";
import { Outputs } from "./outputs.ts";
import { isLastAttempt, retryDelayMs } from "./retry-delay.ts";
import type { Boundary, RunSubgraph } from "./run.ts";
import { RunScope } from "./run-scope.ts";

/** One visit of a Try & Catch. */
export type TryCatchRun = { readonly step: TryCatchStep; readonly visit: NodeVisit; readonly runSubgraph: RunSubgraph };

/**
 * Runs the nodes behind `try`, and where one of them fails those behind `catch`, and gives the output.
 *
 * What became of a failed attempt is recorded before anything follows it: `9#1` says that the nodes behind `try` run again,
 * `9#caught` that those behind `catch` do. A replay finds that record, and starts no node of the attempt again, although one
 * may have been stopped and another not yet begun. The last attempt and the nodes behind `catch` have paths under `9[0]/`, as
 * they share their outputs.
 */
export async function runTryCatch(container: TryCatchRun): Promise<JsonText> {
  const { step, visit } = container;
  for (;;) {
    visit.attempts += 1;
    const outputs = new Outputs(visit.subgraph.outputs, prefixOf(visit));
    const failure = await runAttempt(container, outputs);
    if (failure === undefined) {
      return outputOf(container, outputs, { failure, template: step.output });
    }
    if (!isLastAttempt(step.retry, visit)) {
      await backOff(container);
    } else if (step.catches(failure)) {
      await runCatch(container, outputs, failure);
      return outputOf(container, outputs, { failure, template: step.catchOutput });
    } else {
      throw NodeFailure.of(failure);
    }
  }
}

/**
 * Replays a Try & Catch that was stopped. A Terminate inside of it may have stopped it: records take effect, and no node
 * starts.
 */
export async function replayStoppedTryCatch({ step, visit, runSubgraph }: TryCatchRun): Promise<undefined> {
  visit.attempts = 1;
  while (recallAttempt(visit, String(visit.attempts)) !== undefined) {
    visit.attempts += 1;
  }
  const { subgraph } = visit;
  const boundary = subgraph.boundary.inside();
  boundary.end();
  const prefix = prefixOf(visit);
  const outputs = new Outputs(subgraph.outputs, prefix);
  for (const side of [step.trySubgraph, step.catchSubgraph]) {
    await runSubgraph(side, { state: subgraph.state, boundary, outputs, prefix });
  }
}

/** The beginning of the paths of the nodes of the current attempt. Attempts are counted from 0 there. */
function prefixOf({ path, attempts }: NodeVisit): string {
  return `${path}[${attempts - 1}]/`;
}

/** Runs the nodes behind `try` once, or recalls what became of that. Gives the failure, if there is one. */
async function runAttempt(container: TryCatchRun, outputs: Outputs): Promise<ExecutionError | undefined> {
  const { step, visit, runSubgraph } = container;
  const { subgraph } = visit;
  const mark = isLastAttempt(step.retry, visit) ? "caught" : String(visit.attempts);
  const recalled = recallAttempt(visit, mark);
  const boundary = subgraph.boundary.insideTry((failure) => noteOf(container, failure));
  if (recalled !== undefined) {
    // Records take effect, so that the nodes behind `catch` can read the outputs. No node starts.
    boundary.end();
  }
  const prefix = prefixOf(visit);
  const running = runSubgraph(step.trySubgraph, { state: subgraph.state, boundary, outputs, prefix });
  const isOver = step.timeoutMs === undefined || recalled !== undefined || running === undefined;
  const timedOut = isOver ? undefined : await runInTime(container, { running, boundary, mark });
  await running;
  boundary.close();
  visit.iterations += boundary.iterations;
  subgraph.boundary.throwIfStopped();
  if (recalled !== undefined || timedOut !== undefined) {
    return timedOut ?? recalled?.error;
  }
  const { failure } = boundary;
  if (failure !== undefined && noteOf(container, failure) !== undefined) {
    visit.record(mark, failedState(failure), { error: failure });
    await subgraph.state.run.journal.beforeEffect(subgraph.boundary.signal);
  }
  return failure;
}

type Timed = { readonly running: Promise<void>; readonly boundary: Boundary; readonly mark: string };

/** Waits until the nodes have ended, or ends them when their time is over. Gives that failure, which is recorded first. */
async function runInTime({ step, visit }: TryCatchRun, { running, boundary, mark }: Timed) {
  const { journal } = visit.subgraph.state.run;
  const timeoutMs = step.timeoutMs ?? 0;
  const isDone = new AbortController();
  const signal = AbortSignal.any([isDone.signal, boundary.signal]);
  const path = `${visit.path}#${visit.attempts}#${timeoutMark}`;
  const isOver = journal
    .work(() => journal.wait(path, timeoutMs, signal), signal)
    .then(
      () => true,
      () => false,
    );
  const timesOut = await Promise.race([running.then(() => false), isOver]);
  isDone.abort();
  if (!timesOut || boundary.isStopped) {
    return undefined;
  }
  const failure = visit.describe({
    reason: "NODE_TIMED_OUT",
    message: `The nodes behind "try" took longer than ${timeoutMs} ms.`,
  });
  boundary.end();
  try {
    // This comes before the records of the nodes that it stops.
    visit.record(mark, failedState(failure), { error: failure });
  } finally {
    await running;
  }
  return failure;
}

/** Where a failure behind `try` goes. Undefined where it goes nowhere, and fails the Try & Catch. */
function noteOf({ step, visit }: TryCatchRun, failure: ExecutionError): string | undefined {
  if (!isLastAttempt(step.retry, visit)) {
    return `Tried again by ${visit.node.id}.`;
  }
  return step.catches(failure) ? `Caught by ${visit.node.id}.` : undefined;
}

async function backOff({ step, visit }: TryCatchRun): Promise<void> {
  const { subgraph, path, attempts } = visit;
  const { journal, limits } = subgraph.state.run;
  const { signal } = subgraph.boundary;
  const delayMs = retryDelayMs(step.retry, visit);
  if (delayMs > 0) {
    visit.leave();
    const wait = () => journal.wait(`${path}#${attempts + 1}`, Math.min(delayMs, limits.delayMs), signal);
    await journal.work(wait, signal);
    visit.enter();
  }
}

/** Runs the nodes behind `catch`, which read the failure as the output of the node. Fails with theirs. */
async function runCatch(container: TryCatchRun, outputs: Outputs, cause: ExecutionError): Promise<void> {
  const { step, visit, runSubgraph } = container;
  const { subgraph, node } = visit;
  const boundary = subgraph.boundary.inside();
  outputs.setItem(node.id, bodyOf({ isDone: false, failure: cause, output: null }));
  const prefix = prefixOf(visit);
  await runSubgraph(step.catchSubgraph, { state: subgraph.state, boundary, outputs, prefix });
  boundary.close();
  visit.iterations += boundary.iterations;
  subgraph.boundary.throwIfStopped();
  if (boundary.failure !== undefined) {
    throw NodeFailure.of({ ...boundary.failure, cause });
  }
}

type End = { readonly failure: ExecutionError | undefined; readonly template: Template<JsonValue> | undefined };

function outputOf({ visit }: TryCatchRun, outputs: Outputs, { failure, template }: End): JsonText {
  const { run } = visit.subgraph.state;
  const scope = new RunScope(run, outputs);
  const output = template?.render(scope) ?? null;
  for (const note of scope.notes) {
    visit.scope.note(note);
  }
  return checkOutput(bodyOf({ isDone: true, failure, output }), run.limits.output);
}

type Body = { readonly isDone: boolean; readonly failure: ExecutionError | undefined; readonly output: JsonValue };

/** The output, whose first four members are as Refold's. */
function bodyOf({ isDone, failure, output }: Body): JsonObject {
  const ending = failure === undefined ? "Try-catch block" : "Catch flow";
  const { reason = "", message = "", node_id = null, node_name = null, status = null, body = null } = failure ?? {};
  return {
    try_catch_result: isDone,
    message: isDone ? `${ending} completed successfully` : message,
    failed_node_id: node_id,
    error_message: failure === undefined ? null : { message, error: [body ?? { errorCode: reason, message }] },
    error: failure === undefined ? null : { reason, message, node_id, node_name, status, body },
    output,
  };
}

function recallAttempt({ subgraph, path }: NodeVisit, mark: string): NodeRun | undefined {
  const { run, isReplay } = subgraph.state;
  return isReplay ? run.journal.recall(`${path}#${mark}`) : undefined;
}
