import type { HttpFailure } from "./http-failure.ts";

export type HttpMethod = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS";

export type HeaderPair = readonly [name: string, value: string];

/** One call of a node to the outside. */
export type HttpRequest = {
  /** Connections are never shared between environments. */
  readonly environmentId: string;
  readonly method: HttpMethod;
  /** Absolute, http or https. */
  readonly url: string;
  /** As the author wrote them; a name may come more than once. */
  readonly headers: readonly HeaderPair[];
  /** Lower-case names of headers that are not sent to another origin, in addition to the well-known ones. */
  readonly secretHeaders?: ReadonlySet<string>;
  readonly body?: Uint8Array | string;
  /** The value of the CDN-Loop header (RFC 8586), by which loops are detected: see `domain/http/call-chain.ts`. */
  readonly chain?: string;
  /** The time from the call of `send` to the last byte of the answer, redirects included. */
  readonly timeoutMs: number;
  /**
   * Whether the request is sent again where a keep-alive connection breaks before any answer: a server may close an idle
   * connection at the moment of its reuse. On a new connection the call fails instead.
   */
  readonly isRepeatable?: boolean;
  /** The limit of the decoded body of the answer. 1 MiB by default. */
  readonly answerBytesMax?: number;
  /** The limit of redirects. 5 by default. With 0, a redirect is an answer like any other. */
  readonly redirectsMax?: number;
  /** Called with each request that follows a redirect, before it is sent. Throws HttpFailure for one that may not be sent. */
  readonly checkHop?: (hop: Hop) => void;
  readonly signal: AbortSignal;
};

/** One request of a call: the first one, or one that follows a redirect. */
export type Hop = {
  readonly method: HttpMethod;
  readonly url: URL;
  readonly headers: readonly HeaderPair[];
  readonly body?: Uint8Array | string;
};

/** An answer of a server, with any status. */
export type HttpAnswer = {
  readonly status: number;
  /** By lower-case name. A list where the server sent a header more than once. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** Decoded. `content-encoding` and `content-length` are removed from `headers` where they no longer apply. */
  readonly body: Uint8Array;
  /** The failure to read the body of an answer whose status is not 2xx. The body is empty then. */
  readonly unread?: HttpFailure;
  /** The URL that answered, after all redirects. */
  readonly url: string;
  /** The number of redirects that were followed. */
  readonly redirects: number;
};
