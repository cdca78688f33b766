import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Scope } from "../../gen/flowcall/v1/options_pb.ts";
import type { RequestError } from "../request-error.ts";
import type { Call, Protocol, RequestHeaders } from "./call.ts";

/**
 * Turns requests of some protocols into calls of the handler chain.
 *
 * The server asks each protocol handler in turn for a route by the request line and the headers alone, and checks key and
 * scope. Only then the route may read the body: `serve` after a good check, `refuse` after a bad one.
 */
export type ProtocolHandler = {
  /** The requests that it is asked for; absent: all. A table, so that requests of other protocols cost nothing here. */
  readonly only?: { readonly paths: { has(path: string): boolean }; readonly type?: RegExp };
  match(head: RequestHead): Route | undefined;
};

/** The request line and the headers: all that is known before the body. */
export type RequestHead = {
  readonly method: string;
  /** Not decoded, without the query. */
  readonly path: string;
  /** Not decoded, without the question mark. */
  readonly query: string;
  readonly headers: RequestHeaders;
};

export type Route = {
  /** The path with its variables in braces, or the path of the RPC; absent for pages and for what is not found. */
  readonly name?: string;
  /** The scope that a key must have; `public` where no key is needed. */
  readonly access: Scope | "public";
  /** The protocol of the request, which becomes `Call.protocol`. */
  readonly protocol: Protocol;
  /** Whether the reply is a stream without an end of its own. A server that stops ends it at once. */
  readonly isStream?: boolean;
  /** The watch token in the query, where the route takes one in place of a key. */
  readonly token?: string;
  /** Reads the body, makes the call, writes the reply. Settles when the reply is written, and soon after `call.signal` aborts. */
  serve(exchange: HttpExchange, call: Call): Promise<void>;
  /** Writes a refusal in the caller's protocol without reading the body. */
  refuse(exchange: HttpExchange, call: Call, error: RequestError): Promise<void>;
};

/** A limit with its name in refusals. */
export type NamedLimit = { readonly name: string; readonly value: number };

/** A request and its response, over HTTP/1.1 or HTTP/2. */
export type HttpExchange = {
  readonly request: IncomingMessage | Http2ServerRequest;
  readonly response: ServerResponse | Http2ServerResponse;
  /** The client's address, or its network's; limits for callers without a key count by it. */
  readonly address: string;
  /**
   * Reads the whole body, decompressed by its `content-encoding` (identity, gzip). Throws RequestError: PAYLOAD_TOO_LARGE as
   * soon as `bytesMax` is exceeded, which names `limit` or else `transport_bytes`, REQUEST_TIMEOUT, UNSUPPORTED_MEDIA_TYPE for
   * an unknown encoding, INVALID_JSON for a broken one.
   */
  readBody(bytesMax: number, limit?: NamedLimit): Promise<Uint8Array>;
  /**
   * Decompresses a part of the body that is compressed by gzip on its own. Throws RequestError where the caller would hold too
   * many bytes, RangeError as soon as `bytesMax` is exceeded, Error for what is not gzip.
   */
  unpack(part: Uint8Array, bytesMax: number): Promise<Uint8Array>;
  /** Counts bytes of the reply until the caller has taken them. Throws RequestError where it holds too many. */
  holdReply(bytes: number): void;
  /** Subtracts bytes that the caller has taken. The rest counts until the reply is closed. */
  giveReply(bytes: number): void;
  /** Resets the stream or the connection, so that the caller cannot take the reply for a complete one. */
  cut(): void;
};
