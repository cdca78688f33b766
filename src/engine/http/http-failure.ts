/**
 * Why a call got no answer that a workflow can use. Stable: authors compare it.
 *
 * - EGRESS_REFUSED: the scheme, host, address or port is not one that workflows may reach.
 * - URL_INVALID: the URL, or one that a redirect leads to, cannot be used as it is written.
 * - HEADER_REFUSED: a request header is not the author's to set, or is not valid.
 * - REDIRECT_LIMIT, ANSWER_TOO_LARGE: a limit was reached; `limit` names it.
 * - TIMED_OUT: the deadline of the whole call passed.
 * - ANSWER_UNREADABLE: an answer that arrived whole is not in the coding or the charset that it names.
 * - CONNECTION_FAILED: no connection, or no complete answer on it.
 * - ABORTED: the caller gave up, or the client is stopping.
 */
export type HttpFailureReason =
  | "EGRESS_REFUSED"
  | "URL_INVALID"
  | "HEADER_REFUSED"
  | "REDIRECT_LIMIT"
  | "ANSWER_TOO_LARGE"
  | "ANSWER_UNREADABLE"
  | "TIMED_OUT"
  | "CONNECTION_FAILED"
  | "ABORTED";

/** A limit that was reached, by the name that its setting has. */
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
 * A call that failed. Its message is for the author: it says what to do, and holds no address that the author did not
 * write and no secret. The cause is for our log alone.
 */
export class HttpFailure extends Error {
  readonly reason: HttpFailureReason;
  /**
   * Whether the server that was asked last had given a definite answer: any status but 2xx, or a 2xx that arrived whole.
   * If not, it may or may not have acted on the request: the next attempt has to carry the same Idempotency-Key. Headers
   * that are broken or incomplete count as no answer, which is the safe side.
   */
  readonly isDefinite: boolean;
  /** Whether nothing of the call went out, as where there was no connection. */
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
