/**
 * The reason why a call has no usable answer. Stable, because authors compare it.
 *
 * - EGRESS_REFUSED: the scheme, host, address or port is not one that workflows may reach.
 * - URL_INVALID: the URL, or one that a redirect leads to, is not valid.
 * - CONNECTION_HOST_REFUSED: a redirect leads with a credential to a host that may not have it.
 * - VARIABLE_HOST_REFUSED: a redirect leads to a host that a secret variable may not be sent to.
 * - HEADER_REFUSED: a request header is reserved or not valid.
 * - REDIRECT_LIMIT, ANSWER_TOO_LARGE: a limit was reached; `limit` names it.
 * - TIMED_OUT: the deadline of the whole call passed.
 * - ANSWER_UNREADABLE: a complete answer is not in the coding or the charset that it names.
 * - CONNECTION_FAILED: no connection, or no complete answer on it.
 * - ABORTED: the caller aborted the call, or the client is stopping.
 */
export type HttpFailureReason =
  | "EGRESS_REFUSED"
  | "URL_INVALID"
  | "CONNECTION_HOST_REFUSED"
  | "VARIABLE_HOST_REFUSED"
  | "HEADER_REFUSED"
  | "REDIRECT_LIMIT"
  | "ANSWER_TOO_LARGE"
  | "ANSWER_UNREADABLE"
  | "TIMED_OUT"
  | "CONNECTION_FAILED"
  | "ABORTED";

/** A limit that was exceeded, by the name of its setting. */
export type ReachedLimit = {
  readonly name: "redirects" | "answer_bytes" | "answer_header_bytes";
  readonly value: number;
};

export type HttpFailureDetails = {
  readonly isDefinite?: boolean;
  readonly isUnsent?: boolean;
  readonly limit?: ReachedLimit;
  readonly cause?: unknown;
};

/**
 * A call that failed. Its message is for the author: it says what to do, and contains no secret and no address that the author
 * did not write. The cause is for our own log.
 */
export class HttpFailure extends Error {
  readonly reason: HttpFailureReason;
  /**
   * Whether the last server gave a definite answer: any status but 2xx, or a complete 2xx. If it did not, it may have acted on
   * the request, so the next attempt must have the same Idempotency-Key. Incomplete headers count as no answer.
   */
  readonly isDefinite: boolean;
  /** Whether nothing was sent, for example because there was no connection. */
  readonly isUnsent: boolean;
  readonly limit: ReachedLimit | undefined;

  constructor(reason: HttpFailureReason, message: string, details: HttpFailureDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "HttpFailure";
    this.reason = reason;
    this.isDefinite = details.isDefinite ?? false;
    this.isUnsent = details.isUnsent ?? false;
    this.limit = details.limit;
  }

  /** The same failure, after a definite answer. */
  asDefinite(): HttpFailure {
    return this.#with({ isDefinite: true });
  }

  /** The same failure, before anything was sent. */
  asUnsent(): HttpFailure {
    return this.#with({ isUnsent: true });
  }

  #with(more: HttpFailureDetails): HttpFailure {
    const { isDefinite, cause, limit } = this;
    return new HttpFailure(this.reason, this.message, { isDefinite, cause, ...(limit && { limit }), ...more });
  }
}
