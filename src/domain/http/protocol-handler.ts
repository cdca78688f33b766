import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Scope } from "../../gen/flowcall/v1/options_pb.ts";
import type { RequestError } from "../request-error.ts";
import type { Call, Protocol, RequestHeaders } from "./call.ts";

/**
 * A door turns requests of some protocols into calls of the handler chain.
 *
 * The server asks each door in turn for a route by the head of the request alone, checks key and scope, and only then
 * lets the route read the body: `serve` after a good check, `refuse` after a bad one.
 */
export type ProtocolHandler = { match(head: RequestHead): Route | undefined };

/** What is known of a request before its body. */
export type RequestHead = {
  readonly method: string;
  /** As it came, without the query. */
  readonly path: string;
  /** As it came, without the question mark. */
  readonly query: string;
  readonly headers: RequestHeaders;
};

export type Route = {
  /** What a key must allow; `public` where no key is asked for. */
  readonly access: Scope | "public";
  /** How the caller speaks; the door that knows the request knows this too. It becomes `Call.protocol`. */
  readonly protocol: Protocol;
  /** Whether the reply goes on until somebody ends it. A server that stops ends it at once and does not wait for it. */
  readonly isStream?: boolean;
  /** What the request's query holds in place of a key, where the route takes a watch token. */
  readonly token?: string;
  /** Reads the body, makes the call, writes the reply. Settles when the reply is written, and soon after `call.signal` aborts. */
  serve(exchange: HttpExchange, call: Call): Promise<void>;
  /** Writes a refusal in the caller's protocol without reading the body. */
  refuse(exchange: HttpExchange, call: Call, error: RequestError): Promise<void>;
};

/** A bound as a refusal tells it. */
export type NamedLimit = { readonly name: string; readonly value: number };

/** A request and its reply, over HTTP/1.1 or HTTP/2. */
export type HttpExchange = {
  readonly request: IncomingMessage | Http2ServerRequest;
  readonly response: ServerResponse | Http2ServerResponse;
  /** Whom the caller counts for where callers without a key share something: its address, or its network's. */
  readonly address: string;
  /**
   * The whole body, decompressed by its `content-encoding` (identity, gzip).
   * Throws RequestError: PAYLOAD_TOO_LARGE as soon as `bytesMax` is passed, which names `limit` or else `transport_bytes`, REQUEST_TIMEOUT, UNSUPPORTED_MEDIA_TYPE for
   * an encoding that is not known, INVALID_JSON for one that is broken.
   */
  readBody(bytesMax: number, limit?: NamedLimit): Promise<Uint8Array>;
  /**
   * Unpacks a part of the body that is packed with gzip for itself. Throws RequestError where more is held than may be,
   * RangeError as soon as `bytesMax` is passed, Error for what is not gzip.
   */
  unpack(part: Uint8Array, bytesMax: number): Promise<Uint8Array>;
  /** Counts bytes of the reply while the caller has not taken them. Throws RequestError where it holds more than it may. */
  holdReply(bytes: number): void;
  /** Ends the count of bytes that the caller has taken; what is left is counted until the reply is closed. */
  giveReply(bytes: number): void;
  /** Ends the reply where it is, as one that the caller cannot take for whole. */
  cut(): void;
};
