import { chainHeader, chainLength, chainText } from "../../domain/http/call-chain.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { LeafStep } from "../graph/graph.ts";
import { HttpFailure } from "../http/http-failure.ts";
import type { HeaderPair } from "../http/http-request.ts";
import { nodeFailureOf } from "../nodes/http-node-failure.ts";
import type { SendRequest } from "../nodes/leaf.ts";
import type { NodeVisit } from "./node-visit.ts";

/**
 * Makes the function by which a leaf sends requests during one attempt.
 *
 * A request is sent once all earlier records are committed. All requests of an attempt share its time-out, which does not
 * count the wait for that commit. Each request has an Idempotency-Key that counts the definite answers so far (any status
 * but 2xx, or a 2xx that was read to its end): where a process dies or an answer is lost, the retry has the same key. An
 * attempt that starts its pages again also gives each page its former key, so that the server does nothing twice.
 *
 * The function rejects with NodeFailure, or with the reason of the abort.
 */
export function createSend({ timeoutMs, isAtMostOnce }: LeafStep, visit: NodeVisit): SendRequest {
  const { run } = visit.subgraph.state;
  const { signal } = visit.subgraph.boundary;
  let leftMs = timeoutMs;
  let page = 0;
  return async (request) => {
    if (isAtMostOnce && !visit.isIntended) {
      visit.recordIntent();
    }
    await run.journal.beforeEffect(signal);
    const startTime = run.clock.monotonic();
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
      if (key === undefined) {
        visit.countAnswer(answer);
      }
      page += 1;
      return answer;
    } catch (error) {
      if (!(error instanceof HttpFailure)) {
        throw error;
      }
      if (error.isDefinite && key === undefined) {
        visit.answers += 1;
      }
      throw isAtMostOnce && isUnclear(error) ? outcomeUnknown(error) : nodeFailureOf(error);
    } finally {
      leftMs -= run.clock.monotonic() - startTime;
    }
  };
}

/** Adds the Idempotency-Key, unless the author set one: the author knows better which requests are the same. */
function withKey(headers: readonly HeaderPair[], key: string): readonly HeaderPair[] {
  const hasOwnKey = headers.some(([name]) => name.toLowerCase() === "idempotency-key");
  return hasOwnKey ? headers : [...headers, ["Idempotency-Key", key]];
}

/** Whether the answer was lost, so that nobody knows whether the server has acted on the request. */
function isUnclear({ reason, isDefinite, isUnsent }: HttpFailure): boolean {
  return !isDefinite && !isUnsent && (reason === "CONNECTION_FAILED" || reason === "TIMED_OUT");
}

function outcomeUnknown({ message }: HttpFailure): NodeFailure {
  return new NodeFailure(
    "OUTCOME_UNKNOWN",
    `The request may be sent only once, and no complete answer came back. ${message}`,
  );
}
