import type { HttpFailure } from "./http-failure.ts";

export type HttpMethod = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS";

export type HeaderPair = readonly [name: string, value: string];

/** One call to the outside on behalf of a node. */
export type HttpRequest = {
  /** Connections are never shared between environments. */
  readonly environmentId: string;
  readonly method: HttpMethod;
  /** Absolute, http or https. */
  readonly url: string;
  /** As the author wrote them; a name may come more than once. */
  readonly headers: readonly HeaderPair[];
  /** Lower-case names of headers that do not follow a redirect to another origin, beside the well-known ones. */
  readonly secretHeaders?: ReadonlySet<string>;
  readonly body?: Uint8Array | string;
  /** The value of CDN-Loop, which no author sets: see `domain/http/call-chain.ts`. */
  readonly chain?: string;
  /** From the call of `send` until the last byte of the answer, redirects included. */
  readonly timeoutMs: number;
  /**
   * Whether it is sent once more where a kept connection breaks before any answer: servers close connections that have
   * been idle, and may do so in the moment that one is used again. With a new connection it fails instead.
   */
  readonly isRepeatable?: boolean;
  /** Bytes of the answer's body after decoding; 1 MiB if absent. */
  readonly answerBytesMax?: number;
  /** Redirects that are followed; 5 if absent. With 0 a redirect is an answer like any other. */
  readonly redirectsMax?: number;
  readonly signal: AbortSignal;
};

/** What a server answered, whatever its status. */
export type HttpAnswer = {
  readonly status: number;
  /** Lower-case names; a list where the server sent a name more than once. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** Decoded: `content-encoding` and `content-length` are left out of `headers` where they no longer fit. */
  readonly body: Uint8Array;
  /** Why the body could not be read, where the status is not 2xx and so says enough; the body is then empty. */
  readonly unread?: HttpFailure;
  /** The URL that answered, after all redirects. */
  readonly url: string;
  /** Redirects that were followed. */
  readonly redirects: number;
};
