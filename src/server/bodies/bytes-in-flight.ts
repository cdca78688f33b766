import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import type { Principal } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { ServerLimits } from "../limits/server-limits.ts";
import { UsageCounter } from "../limits/usage-counter.ts";

/** A request is refused before it is handled if less than this share of the memory that it may use is left. */
const freeShareMin = 1 / 16;

/**
 * Memory for request bodies, and for replies that clients have not read yet: in all, and for each connection, key and
 * organisation.
 *
 * An organisation may use at most as much as is free (dynamic threshold, Choudhury and Hahne 1998): alone it gets half of
 * all, next to another greedy one a third, and some always stays free for a newcomer.
 */
export class BytesInFlight {
  readonly #limits: ServerLimits;
  readonly #connections = new UsageCounter<object>();
  readonly #keys = new UsageCounter<string>();
  readonly #organizations = new UsageCounter<string>();

  constructor(limits: ServerLimits) {
    this.#limits = limits;
  }

  open(request: IncomingMessage | Http2ServerRequest): RequestBytes {
    return new RequestBytes(this, request);
  }

  /** The error of a request that may not use so many more bytes; undefined if it may. */
  errorOf({ connection, owner, total: own }: RequestBytes, bytes: number): RequestError | undefined {
    const { bodyBytesMax, keyBodyBytesMax, connectionBodyBytesMax } = this.#limits;
    const { total } = this.#organizations;
    if (total + bytes > bodyBytesMax) {
      return processFull(bodyBytesMax);
    }
    if (owner === undefined) {
      return undefined;
    }
    const free = bodyBytesMax - total;
    if (this.#organizations.of(owner.organizationId) + bytes > free) {
      return limitReached("organization_body_bytes", free);
    }
    // A request that is the only one may be as large as a body may be.
    const exceeds = (used: number, max: number) => used > own && used + bytes > max;
    if (exceeds(this.#keys.of(owner.keyId), keyBodyBytesMax)) {
      return limitReached("key_body_bytes", keyBodyBytesMax);
    }
    if (exceeds(this.#connections.of(connection()), connectionBodyBytesMax)) {
      return limitReached("connection_body_bytes", connectionBodyBytesMax);
    }
    return undefined;
  }

  /** The error of a request that would be handled in vain, because its reply would not fit; undefined if it may start. */
  errorBeforeStart({ connection, owner }: RequestBytes): RequestError | undefined {
    const { bodyBytesMax, keyBodyBytesMax, connectionBodyBytesMax } = this.#limits;
    const { total } = this.#organizations;
    const isNearlyFull = (used: number, max: number) => used > max * (1 - freeShareMin);
    if (isNearlyFull(total, bodyBytesMax)) {
      return processFull(bodyBytesMax);
    }
    if (owner === undefined) {
      return undefined;
    }
    const free = bodyBytesMax - total;
    if (isNearlyFull(this.#organizations.of(owner.organizationId), free)) {
      return limitReached("organization_body_bytes", free);
    }
    if (isNearlyFull(this.#keys.of(owner.keyId), keyBodyBytesMax)) {
      return limitReached("key_body_bytes", keyBodyBytesMax);
    }
    if (
      isNearlyFull(total, connectionBodyBytesMax) &&
      isNearlyFull(this.#connections.of(connection()), connectionBodyBytesMax)
    ) {
      return limitReached("connection_body_bytes", connectionBodyBytesMax);
    }
    return undefined;
  }

  add({ connection, owner }: RequestBytes, bytes: number): void {
    if (owner === undefined) {
      return;
    }
    this.#organizations.add(owner.organizationId, bytes);
    this.#keys.add(owner.keyId, bytes);
    this.#connections.add(connection(), bytes);
  }
}

/** The memory that one request uses. */
export class RequestBytes {
  readonly #inFlight: BytesInFlight;
  readonly #request: IncomingMessage | Http2ServerRequest;
  #connection: object | undefined;
  #body = 0;
  #reply = 0;
  /** The part of `#reply` that is reserved and not written yet. */
  #reserved = 0;
  /** Undefined for callers without a key: the number of their requests is limited instead. */
  owner: Principal | undefined;

  constructor(inFlight: BytesInFlight, request: IncomingMessage | Http2ServerRequest) {
    this.#inFlight = inFlight;
    this.#request = request;
  }

  get total(): number {
    return this.#body + this.#reply;
  }

  /** A function, since Node creates the socket object of an HTTP/2 request only when it is asked for. */
  readonly connection = (): object => {
    this.#connection ??=
      ("stream" in this.#request ? this.#request.stream.session : this.#request.socket) ?? this.#request;
    return this.#connection;
  };

  /** Adds bytes of the body. Throws RequestError if they are too many. */
  addBody(bytes: number): void {
    this.#require(bytes);
    this.#body += bytes;
    this.#inFlight.add(this, bytes);
  }

  /** Throws RequestError if so little memory is left that the request should not be handled. */
  requireMemory(): void {
    const error = this.#inFlight.errorBeforeStart(this);
    if (error !== undefined) {
      throw error;
    }
  }

  /** Reserves memory before a reply is read. Throws RequestError if it is too large. */
  reserveReply(bytes: number): void {
    const more = Math.max(0, bytes - this.#reserved);
    this.#addReply(more);
    this.#reserved += more;
  }

  /** Adds bytes of the reply until the client has read them. Throws RequestError if they are too many. */
  addReply(bytes: number): void {
    const reserved = Math.min(bytes, this.#reserved);
    this.#addReply(bytes - reserved);
    this.#reserved -= reserved;
  }

  #addReply(bytes: number): void {
    if (bytes === 0) {
      return;
    }
    this.#require(bytes);
    this.#reply += bytes;
    this.#inFlight.add(this, bytes);
  }

  #require(bytes: number): void {
    const error = this.#inFlight.errorOf(this, bytes);
    if (error !== undefined) {
      throw error;
    }
  }

  /** Releases bytes of the reply that the client has read. */
  releaseReply(bytes: number): void {
    this.#reply -= bytes;
    this.#inFlight.add(this, -bytes);
  }

  releaseBody(): void {
    if (this.#body === 0) {
      return;
    }
    this.#inFlight.add(this, -this.#body);
    this.#body = 0;
  }

  releaseAll(): void {
    this.releaseBody();
    if (this.#reply !== 0) {
      this.releaseReply(this.#reply);
    }
  }
}

function limitReached(limit: string, max: number): RequestError {
  return new RequestError(
    "TOO_MANY_REQUESTS",
    `Your requests in flight hold ${max} bytes of bodies and of unread replies, the most that is allowed (limit ${limit}). Send fewer at a time.`,
    { metadata: { limit, value: String(max) }, retryAfterSeconds: 1 },
  );
}

function processFull(max: number): RequestError {
  return new RequestError(
    "SERVER_BUSY",
    `The server holds ${max} bytes of bodies already (limit body_bytes). Try again.`,
    { metadata: { limit: "body_bytes", value: String(max) }, retryAfterSeconds: 1 },
  );
}
