import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import type { Principal } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { ServerLimits } from "../limits/server-limits.ts";
import { Held } from "../limits/usage-counter.ts";

/**
 * The bytes of bodies and of replies that the process holds at a time: in all, for each connection, key and organisation.
 *
 * An organisation may hold no more than is free (the dynamic threshold of Choudhury and Hahne): alone it has half of all,
 * beside another greedy one a third, and some is always left for one that comes.
 */
export class BodyBytes {
  readonly #limits: ServerLimits;
  readonly #connections = new Held<object>();
  readonly #keys = new Held<string>();
  readonly #organizations = new Held<string>();

  constructor(limits: ServerLimits) {
    this.#limits = limits;
  }

  open(request: IncomingMessage | Http2ServerRequest): RequestBytes {
    return new RequestBytes(this, request);
  }

  /** Why a request may not hold so many bytes more; undefined where it may. */
  refusal({ connection, owner, held }: RequestBytes, bytes: number): RequestError | undefined {
    const { bodyBytesMax, keyBodyBytesMax, connectionBodyBytesMax } = this.#limits;
    const { total } = this.#organizations;
    if (total + bytes > bodyBytesMax) return processFull(bodyBytesMax);
    if (owner === undefined) return undefined;
    const free = bodyBytesMax - total;
    if (this.#organizations.by(owner.organizationId) + bytes > free) return partUsed("organization_body_bytes", free);
    // What is alone may be as large as a body may be.
    const exceeds = (all: number, max: number) => all > held && all + bytes > max;
    if (exceeds(this.#keys.by(owner.keyId), keyBodyBytesMax)) return partUsed("key_body_bytes", keyBodyBytesMax);
    if (exceeds(this.#connections.by(connection()), connectionBodyBytesMax)) {
      return partUsed("connection_body_bytes", connectionBodyBytesMax);
    }
    return undefined;
  }

  /** Why a request may not begin: of what it may hold there is hardly any left, so that a large reply would be refused. */
  refusalAhead({ connection, owner }: RequestBytes): RequestError | undefined {
    const { bodyBytesMax, keyBodyBytesMax, connectionBodyBytesMax } = this.#limits;
    const { total } = this.#organizations;
    const isNearly = (all: number, max: number) => all > max * (1 - roomMin);
    if (isNearly(total, bodyBytesMax)) return processFull(bodyBytesMax);
    if (owner === undefined) return undefined;
    const free = bodyBytesMax - total;
    if (isNearly(this.#organizations.by(owner.organizationId), free)) return partUsed("organization_body_bytes", free);
    if (isNearly(this.#keys.by(owner.keyId), keyBodyBytesMax)) return partUsed("key_body_bytes", keyBodyBytesMax);
    if (
      isNearly(total, connectionBodyBytesMax) &&
      isNearly(this.#connections.by(connection()), connectionBodyBytesMax)
    ) {
      return partUsed("connection_body_bytes", connectionBodyBytesMax);
    }
    return undefined;
  }

  add({ connection, owner }: RequestBytes, bytes: number): void {
    if (owner === undefined) return;
    this.#organizations.add(owner.organizationId, bytes);
    this.#keys.add(owner.keyId, bytes);
    this.#connections.add(connection(), bytes);
  }
}

/** Where less than this part of what may be held is left, there is no use in reading what a reply is made of. */
const roomMin = 1 / 16;

/** What one request holds. */
export class RequestBytes {
  readonly #all: BodyBytes;
  readonly #request: IncomingMessage | Http2ServerRequest;
  #connection: object | undefined;
  #body = 0;
  #reply = 0;
  /** What is kept of `#reply` for what is not written yet. */
  #reserved = 0;
  /** Who called; what callers without a key hold is bounded by the number of their requests. */
  owner: Principal | undefined;

  constructor(all: BodyBytes, request: IncomingMessage | Http2ServerRequest) {
    this.#all = all;
    this.#request = request;
  }

  get held(): number {
    return this.#body + this.#reply;
  }

  /** Asked for only where bytes are held, since Node makes the socket of HTTP/2 for the asker. */
  readonly connection = (): object => {
    this.#connection ??=
      ("stream" in this.#request ? this.#request.stream.session : this.#request.socket) ?? this.#request;
    return this.#connection;
  };

  /** Takes in bytes of the body. Throws RequestError where they are too many. */
  take(bytes: number): void {
    const refusal = this.#all.refusal(this, bytes);
    if (refusal !== undefined) throw refusal;
    this.#body += bytes;
    this.#all.add(this, bytes);
  }

  /** Throws RequestError where so little room is left that no work should be done for the request. */
  requireRoom(): void {
    const refusal = this.#all.refusalAhead(this);
    if (refusal !== undefined) throw refusal;
  }

  /** Keeps room for a reply that is about to be read. Throws RequestError where it is too large. */
  reserveReply(bytes: number): void {
    const more = Math.max(0, bytes - this.#reserved);
    this.#keepReply(more);
    this.#reserved += more;
  }

  /** Keeps bytes of the reply until it is taken. Throws RequestError where they are too many. */
  takeReply(bytes: number): void {
    const kept = Math.min(bytes, this.#reserved);
    this.#keepReply(bytes - kept);
    this.#reserved -= kept;
  }

  #keepReply(bytes: number): void {
    if (bytes === 0) return;
    const refusal = this.#all.refusal(this, bytes);
    if (refusal !== undefined) throw refusal;
    this.#reply += bytes;
    this.#all.add(this, bytes);
  }

  /** Says that bytes of the reply are taken. */
  giveReply(bytes: number): void {
    this.#reply -= bytes;
    this.#all.add(this, -bytes);
  }

  /** Says that the body is no longer held. */
  leaveBody(): void {
    if (this.#body === 0) return;
    this.#all.add(this, -this.#body);
    this.#body = 0;
  }

  /** Says that nothing is held any more. */
  leave(): void {
    this.leaveBody();
    if (this.#reply !== 0) this.giveReply(this.#reply);
  }
}

function partUsed(limit: string, max: number): RequestError {
  return new RequestError(
    "TOO_MANY_REQUESTS",
    `Your requests under way hold ${max} bytes of bodies and of replies that are not taken, the most that they may (limit ${limit}). Send fewer at a time.`,
    { metadata: { limit, value: String(max) }, retryAfterSeconds: 1 },
  );
}

function processFull(max: number): RequestError {
  return new RequestError(
    "SERVER_BUSY",
    `The server holds ${max} bytes of bodies already (limit body_bytes). Try again.`,
    {
      metadata: { limit: "body_bytes", value: String(max) },
      retryAfterSeconds: 1,
    },
  );
}
