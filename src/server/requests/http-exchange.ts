import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { RequestHeaders } from "../../domain/http/call.ts";
import type { HttpExchange, RequestHead } from "../../domain/http/protocol-handler.ts";
import { newId } from "../../domain/id.ts";
import type { RequestError } from "../../domain/request-error.ts";
import type { RequestBytes } from "../bodies/bytes-in-flight.ts";
import type { LargeBodyQueue } from "../bodies/large-body-queue.ts";
import { readBody } from "../bodies/read-body.ts";
import { clientAddress } from "../limits/client-address.ts";

/** Takes a request from Node. It is refused if there is an error. `100 Continue` has not been sent to the client yet. */
export type ReceiveRequest = (
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
  error?: RequestError,
) => void;

export type ExchangeOptions = {
  readonly headers: RequestHeaders;
  readonly timeoutMs: number;
  /** Counts the memory that the request uses. */
  readonly bytes: RequestBytes;
  readonly bodies: LargeBodyQueue;
};

export function createExchange(
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
  { headers, timeoutMs, bytes, bodies }: ExchangeOptions,
): HttpExchange {
  return {
    request,
    response,
    // A getter, since Node creates the socket object of an HTTP/2 request only when it is asked for.
    get address() {
      return clientAddress(request.socket) ?? "";
    },
    readBody: async (bytesMax, limit = { name: "transport_bytes", value: bytesMax }) => {
      const body = await readBody(request, { headers, bytesMax, limit, timeoutMs, bytes });
      await bodies.waitToParse(body.length, bytes.owner);
      return body;
    },
    unpack: async (part, bytesMax) => {
      const unpacked = await bodies.decompress(part, bytesMax, bytes.owner);
      bytes.addBody(unpacked.length);
      await bodies.waitToParse(unpacked.length, bytes.owner);
      return unpacked;
    },
    holdReply: (length) => bytes.addReply(length),
    giveReply: (length) => bytes.releaseReply(length),
    cut: () => cut(response),
  };
}

/**
 * Over HTTP/2 it resets the stream with CANCEL. `destroy` would send NO_ERROR, and the bytes that it leaves unsent would
 * keep the session open.
 */
function cut(response: HttpExchange["response"]): void {
  if ("stream" in response) {
    response.stream.close(constants.NGHTTP2_CANCEL);
  } else {
    response.destroy();
  }
}

export function readHead(request: IncomingMessage | Http2ServerRequest): RequestHead {
  // The request line may be in absolute form (RFC 9112, 3.2.2). Its host is this server in any case.
  const url = (request.url ?? "").replace(/^https?:\/\/[^/?]*/i, "");
  const mark = url.indexOf("?");
  return {
    method: request.method ?? "",
    path: mark === -1 ? url : url.slice(0, mark),
    query: mark === -1 ? "" : url.slice(mark + 1),
    headers: readHeaders(request.rawHeaders),
  };
}

/** Reads the raw headers: `request.headers` joins or drops duplicates. */
function readHeaders(raw: readonly string[]): RequestHeaders {
  const headers = new Map<string, string[]>();
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] ?? "").toLowerCase();
    const value = raw[index + 1] ?? "";
    if (name.startsWith(":")) {
      continue;
    }
    const values = headers.get(name);
    if (values) {
      values.push(value);
    } else {
      headers.set(name, [value]);
    }
  }
  return headers;
}

/** The client's own request id if it is safe in a log and in a header, else a new one. */
export function readRequestId(headers: RequestHeaders): string {
  const [id, ...others] = headers.get("x-request-id") ?? [];
  return id !== undefined && others.length === 0 && /^[\x21-\x7e]{1,128}$/.test(id) ? id : newId();
}
