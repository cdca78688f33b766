import type { Clock } from "../../domain/clock.ts";
import type { JsonText } from "../../domain/json-text.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { LeafStep, Retry } from "../graph/graph.ts";
import type { Attempt, NodeTimeout } from "../nodes/leaf.ts";
import { createSeededRandom } from "../query/functions/seeded-random.ts";
import { checkOutput } from "../values/check-output.ts";
import type { Visit } from "./node-visit.ts";
import { createSend } from "./send-request.ts";

/**
 * Runs a leaf until an attempt gives an output or none is left, and gives the checked output. Attempts that an earlier
 * run recorded as failed are not made again. An output that cannot be kept is no reason to make it once more.
 */
export async function runLeaf(step: LeafStep, visit: Visit): Promise<JsonText> {
  const { run } = visit.level.state;
  const { signal } = visit.level.boundary;
  // A synchronous caller waits, and has said that it can do without this node.
  const attemptsMax = run.type === "SYNC" && visit.node.skipOnError ? 1 : step.retry.attemptsMax;
  for (;;) {
    visit.attempts += 1;
    if (visit.isIntended) {
      const message = "The run was taken up again after the node may have sent its request, which it may do only once.";
      throw new NodeFailure("OUTCOME_UNKNOWN", message);
    }
    let delayMs = retryDelayMs(step.retry, visit);
    const recalled = visit.recallAttempt();
    if (recalled === undefined) {
      const isLast = visit.attempts >= attemptsMax;
      run.journal.enter(visit);
      const made = await tryOnce(step, visit, { isLast });
      if (!(made instanceof NodeFailure)) {
        return checkOutput(made.output, run.limits.output);
      }
      if (isLast || made.isFinal || signal.aborted) {
        throw made;
      }
      run.journal.leave(visit);
      visit.recordAttempt(made);
      delayMs = Math.max(delayMs, made.retryAfterMs);
    } else {
      visit.takeCounts(recalled);
    }
    if (delayMs > 0) {
      await run.journal.wait(`${visit.path}#${visit.attempts + 1}`, Math.min(delayMs, run.limits.delayMs), signal);
    }
  }
}

/** With jitter the delay is between a half and the whole of itself, and the same on a replay. */
function retryDelayMs({ delayMs, factor, hasJitter }: Retry, visit: Visit): number {
  const whole = delayMs * factor ** (visit.attempts - 1);
  if (!hasJitter) {
    return whole;
  }
  const random = createSeededRandom(`${visit.level.state.run.executionId}\n${visit.path}#${visit.attempts + 1}`);
  return Math.round(whole * (0.5 + random() / 2));
}

type Try = Pick<Attempt, "isLast">;

async function tryOnce(
  step: LeafStep,
  visit: Visit,
  { isLast }: Try,
): Promise<{ readonly output: unknown } | NodeFailure> {
  try {
    return { output: await runAttempt(step, visit, { isLast }) };
  } catch (error) {
    if (error instanceof NodeFailure) {
      return error;
    }
    throw error;
  }
}

async function runAttempt(step: LeafStep, visit: Visit, { isLast }: Try): Promise<unknown> {
  const { leaf, timeoutMs } = step;
  const { run } = visit.level.state;
  const { signal } = visit.level.boundary;
  return leaf.run({
    executionId: run.executionId,
    type: run.type,
    limits: run.limits,
    path: visit.path,
    startTime: visit.startTime,
    scope: visit.scope,
    signal,
    isLast,
    turn: [run.organizationId, run.environmentId],
    pool: run.pool,
    now: () => run.clock.now(),
    note: (text) => {
      if (!visit.node.isHidden) visit.scope.note(text);
    },
    wait: (delayMs) => {
      run.journal.leave(visit);
      return run.journal.wait(visit.path, delayMs, signal);
    },
    openTimeout: () => openTimeout(run.clock, timeoutMs, signal),
    send: createSend(step, visit),
  });
}

function openTimeout(clock: Clock, timeoutMs: number, signal: AbortSignal): NodeTimeout {
  const over = new AbortController();
  const closed = new AbortController();
  let timer: Promise<void> | undefined;
  return {
    signal: AbortSignal.any([signal, over.signal]),
    start: () => {
      timer ??= clock.wait(timeoutMs, closed.signal).then(
        () => over.abort(new NodeFailure("NODE_TIMED_OUT", `The node took longer than ${timeoutMs} ms.`)),
        () => undefined,
      );
    },
    close: async () => {
      closed.abort(noLongerNeeded);
      await timer;
    },
  };
}
