import { chainHeader, chainLength, chainText } from "../../domain/http/call-chain.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { LeafStep } from "../graph/graph.ts";
import { HttpFailure } from "../http/http-failure.ts";
import type { HeaderPair } from "../http/http-request.ts";
import { nodeFailureOf } from "../nodes/http-node-failure.ts";
import type { SendRequest } from "../nodes/leaf.ts";
import type { Visit } from "./node-visit.ts";

/**
 * How a leaf sends during one attempt, whose time-out all its requests share; what the database takes before a request
 * is not counted.
 *
 * A request goes out once all that led to it is committed, under a key that counts the definite answers to this node: any
 * status but 2xx, and a 2xx that was read to its end. When a process dies or an answer is lost, the same request comes
 * again under the same key. An attempt that begins its pages again asks for those that were answered under the keys that
 * they had: what was done for one is not done again under another key. Rejects with NodeFailure, or with what aborted it.
 */
export function createSend({ timeoutMs, isAtMostOnce }: LeafStep, visit: Visit): SendRequest {
  const { run } = visit.level.state;
  const { signal } = visit.level.boundary;
  let leftMs = timeoutMs;
  let page = 0;
  return async (request) => {
    if (isAtMostOnce && !visit.isIntended) {
      visit.recordIntent();
    }
    await run.journal.beforeEffect(signal);
    const startTime = run.clock.elapsed();
    const key = visit.pageKeys[page];
    try {
      const answer = await run.http.send({
        answerBytesMax: run.limits.httpAnswerBytesMax,
        ...request,
        headers: withKey(request.headers, `${run.executionId}:${visit.path}:${key ?? visit.answers}`),
        chain: chainText(1 + chainLength(run.event.headers[chainHeader])),
        environmentId: run.environmentId,
        isRepeatable: !isAtMostOnce,
        timeoutMs: Math.max(1, leftMs),
        signal,
      });
      if (key === undefined) visit.countAnswer(answer);
      page += 1;
      return answer;
    } catch (error) {
      if (!(error instanceof HttpFailure)) {
        throw error;
      }
      if (error.isDefinite && key === undefined) visit.answers += 1;
      throw isAtMostOnce && isUnclear(error) ? outcomeUnknown(error) : nodeFailureOf(error);
    } finally {
      leftMs -= run.clock.elapsed() - startTime;
    }
  };
}

/** An author who sends a key of their own knows better what is the same request. */
function withKey(headers: readonly HeaderPair[], key: string): readonly HeaderPair[] {
  const isGiven = headers.some(([name]) => name.toLowerCase() === "idempotency-key");
  return isGiven ? headers : [...headers, ["Idempotency-Key", key]];
}

/** Whether the server may have acted on a request whose answer was lost. */
function isUnclear({ reason, isDefinite, isUnsent }: HttpFailure): boolean {
  return !isDefinite && !isUnsent && (reason === "CONNECTION_FAILED" || reason === "TIMED_OUT");
}

function outcomeUnknown({ message }: HttpFailure): NodeFailure {
  return new NodeFailure(
    "OUTCOME_UNKNOWN",
    `The request, which may be sent only once, has no complete answer. ${message}`,
  );
}
