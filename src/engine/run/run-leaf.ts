import type { Clock } from "../../domain/clock.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { LeafStep, Retry } from "../graph/graph.ts";
import type { Attempt } from "../nodes/leaf.ts";
import { createSeededRandom } from "../query/functions/seeded-random.ts";
import type { NodeTimeout } from "../query/query-run.ts";
import { checkOutput } from "../values/check-output.ts";
import type { NodeVisit } from "./node-visit.ts";
import { createSend } from "./send-request.ts";

/**
 * Runs a leaf with retry and backoff, and gives the checked output. A replay does not repeat attempts that are recorded as
 * failed. An output that is refused is not a reason for a retry, since the leaf would give it again.
 */
export async function runLeaf(step: LeafStep, visit: NodeVisit): Promise<JsonText> {
  const { run } = visit.subgraph.state;
  const { signal } = visit.subgraph.boundary;
  // A synchronous caller waits, and skip_on_error says that the workflow can do without this node: so there is no retry.
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

/** Exponential backoff. Jitter takes off up to half of the delay; it is seeded, so that a replay waits as long. */
function retryDelayMs({ delayMs, factor, hasJitter }: Retry, visit: NodeVisit): number {
  const whole = delayMs * factor ** (visit.attempts - 1);
  if (!hasJitter) {
    return whole;
  }
  const random = createSeededRandom(`${visit.subgraph.state.run.executionId}\n${visit.path}#${visit.attempts + 1}`);
  return Math.round(whole * (0.5 + random() / 2));
}

type Try = Pick<Attempt, "isLast">;

async function tryOnce(
  step: LeafStep,
  visit: NodeVisit,
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

async function runAttempt(step: LeafStep, visit: NodeVisit, { isLast }: Try): Promise<unknown> {
  const { leaf, timeoutMs } = step;
  const { run } = visit.subgraph.state;
  const { signal } = visit.subgraph.boundary;
  return leaf.run({
    executionId: run.executionId,
    type: run.type,
    limits: run.limits,
    path: visit.path,
    startTime: visit.startTime,
    scope: visit.scope,
    signal,
    isLast,
    tenantPath: [run.organizationId, run.environmentId],
    pool: run.pool,
    now: () => run.clock.now(),
    note: (text) => {
      if (!visit.node.isHidden) {
        visit.scope.note(text);
      }
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
