import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { RequestHeaders } from "../../domain/http/call.ts";
import type { HttpExchange, RequestHead } from "../../domain/http/protocol-handler.ts";
import { newId } from "../../domain/id.ts";
import type { RequestBytes } from "../bodies/bytes-in-flight.ts";
import type { BodyTurns } from "../bodies/large-body-queue.ts";
import { readBody } from "../bodies/read-body.ts";
import { clientAddress } from "../limits/client-address.ts";

export type ExchangeOptions = {
  readonly headers: RequestHeaders;
  readonly timeoutMs: number;
  /** Counts what the request holds. */
  readonly bytes: RequestBytes;
  readonly turns: BodyTurns;
};

export function createExchange(
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
  { headers, timeoutMs, bytes, turns }: ExchangeOptions,
): HttpExchange {
  return {
    request,
    response,
    // Asked for seldom, and by way of objects that Node makes for it.
    get address() {
      return clientAddress(request.socket) ?? "";
    },
    readBody: async (bytesMax, limit = { name: "transport_bytes", value: bytesMax }) => {
      const body = await readBody(request, { headers, bytesMax, limit, timeoutMs, bytes });
      await turns.parse(body.length, bytes.owner);
      return body;
    },
    unpack: async (part, bytesMax) => {
      const unpacked = await turns.unpack(part, bytesMax, bytes.owner);
      bytes.take(unpacked.length);
      await turns.parse(unpacked.length, bytes.owner);
      return unpacked;
    },
    holdReply: (length) => bytes.takeReply(length),
    giveReply: (length) => bytes.giveReply(length),
    cut: () => cut(response),
  };
}

/**
 * Over HTTP/2 by a reset that says so: that of `destroy` says NO_ERROR, and what it leaves unsent keeps the session from
 * ending.
 */
function cut(response: HttpExchange["response"]): void {
  if ("stream" in response) response.stream.close(constants.NGHTTP2_CANCEL);
  else response.destroy();
}

export function readHead(request: IncomingMessage | Http2ServerRequest): RequestHead {
  // A client may name the server in the request line (RFC 9112, 3.2.2); it is this server all the same.
  const url = (request.url ?? "").replace(/^https?:\/\/[^/?]*/i, "");
  const mark = url.indexOf("?");
  return {
    method: request.method ?? "",
    path: mark === -1 ? url : url.slice(0, mark),
    query: mark === -1 ? "" : url.slice(mark + 1),
    headers: readHeaders(request.rawHeaders),
  };
}

/** From the raw list, since in every other form Node has joined or dropped what was given twice. */
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

/** The caller's own id where it is one that can stand in a log and a header, else a new one. */
export function readRequestId(headers: RequestHeaders): string {
  const [id, ...others] = headers.get("x-request-id") ?? [];
  return id !== undefined && others.length === 0 && /^[\x21-\x7e]{1,128}$/.test(id) ? id : newId();
}
