import type { NodeRun, SentRequest } from "../../domain/execution.ts";
import { chainHeader, chainLength, chainText } from "../../domain/http/call-chain.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { LeafStep } from "../graph/graph.ts";
import { HttpFailure } from "../http/http-failure.ts";
import type { HeaderPair, HttpAnswer } from "../http/http-request.ts";
import { isHeader } from "../http/request-headers.ts";
import { nodeFailureOf } from "../nodes/http-node-failure.ts";
import type { LeafRequest } from "../nodes/leaf.ts";
import { redactValue } from "../secrets/redactor.ts";
import type { NodeVisit } from "./node-visit.ts";
import { shownRequest } from "./shown-request.ts";

type Counts = Pick<NodeRun, "answers" | "page_keys">;

/**
 * Sends the requests of one visit of a node.
 *
 * A request is sent once all earlier records are committed. All requests of an attempt share its time-out, which does not
 * count the wait for that commit. Each request has an Idempotency-Key that counts the definite answers so far (any status
 * but 2xx, or a 2xx that was read to its end): where a process dies or an answer is lost, the retry has the same key. An
 * attempt that starts its pages again also gives each page its former key, so that the server does nothing twice.
 */
export class RequestSender {
  readonly #step: LeafStep;
  readonly #visit: NodeVisit;
  #leftMs: number;
  /** The number of pages that this attempt has requested. */
  #page = 0;
  #isIntended = false;
  /** The number of requests of this visit that have a definite answer. It is part of the next Idempotency-Key. */
  #answers: number;
  /** The counts that were part of the keys of pages answered with 2xx, in page order. A repeated page has the same key. */
  readonly #pageKeys: number[];
  /** The last request that was sent. */
  #last: LeafRequest | undefined;

  /** @param counts those that an earlier run recorded with its last attempt */
  constructor(step: LeafStep, visit: NodeVisit, { answers = 0, page_keys = [] }: Counts = {}) {
    this.#step = step;
    this.#visit = visit;
    this.#leftMs = step.timeoutMs;
    this.#answers = answers;
    this.#pageKeys = [...page_keys];
  }

  beginAttempt(): void {
    this.#leftMs = this.#step.timeoutMs;
    this.#page = 0;
  }

  /** State of these requests that the next run needs. */
  get counts(): Counts {
    return {
      ...(this.#answers > 0 && { answers: this.#answers }),
      ...(this.#pageKeys.length > 0 && { page_keys: [...this.#pageKeys] }),
    };
  }

  /** The last request that was sent, for people. */
  shown(isSecret: boolean): SentRequest | undefined {
    return this.#last && shownRequest(redactValue(this.#last, this.#visit.redactor), isSecret);
  }

  /** Rejects with NodeFailure, or with the reason of the abort. */
  async send(request: LeafRequest): Promise<HttpAnswer> {
    const { isAtMostOnce } = this.#step;
    const { run } = this.#visit.subgraph.state;
    const { signal } = this.#visit.subgraph.boundary;
    if (isAtMostOnce && !this.#isIntended) {
      this.#recordIntent();
    }
    await run.journal.beforeEffect(signal);
    const startTime = run.clock.monotonic();
    const key = this.#pageKeys[this.#page];
    const headers = withKey(request.headers, `${run.executionId}:${this.#visit.path}:${key ?? this.#answers}`);
    this.#last = { ...request, headers };
    try {
      const answer = await run.http.send({
        answerBytesMax: run.limits.httpAnswerBytesMax,
        ...this.#last,
        chain: chainText(1 + chainLength(run.event.headers[chainHeader])),
        environmentId: run.environmentId,
        isRepeatable: !isAtMostOnce,
        timeoutMs: Math.max(1, this.#leftMs),
        signal,
      });
      if (key === undefined) {
        this.#countAnswer(answer);
      }
      this.#page += 1;
      return answer;
    } catch (error) {
      if (!(error instanceof HttpFailure)) {
        throw error;
      }
      if (error.isDefinite && key === undefined) {
        this.#answers += 1;
      }
      throw isAtMostOnce && isUnclear(error) ? outcomeUnknown(error) : nodeFailureOf(error);
    } finally {
      this.#leftMs -= run.clock.monotonic() - startTime;
    }
  }

  /**
   * Records the intent to send, which at-most-once delivery needs: a replay that finds an intent without a result cannot know
   * whether the request was sent, and does not send it again.
   */
  #recordIntent(): void {
    this.#isIntended = true;
    this.#visit.record("intent", "WAITING", {});
  }

  #countAnswer({ status }: HttpAnswer): void {
    if (status >= 200 && status < 300) {
      this.#pageKeys.push(this.#answers);
    }
    this.#answers += 1;
  }
}

/** Adds the Idempotency-Key, unless the author set one: the author knows better which requests are the same. */
function withKey(headers: readonly HeaderPair[], key: string): readonly HeaderPair[] {
  const hasOwnKey = headers.some(([name]) => isHeader(name, "idempotency-key"));
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
