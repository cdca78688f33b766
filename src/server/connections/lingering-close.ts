import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type Http2ServerRequest, type Http2ServerResponse, type ServerHttp2Stream } from "node:http2";
import { Socket } from "node:net";
import type { ServerLimits } from "../limits/server-limits.ts";

/**
 * Sees to it that a reply reaches a client that is still sending a body which nobody reads.
 *
 * Closing a socket that holds unread bytes makes TCP send a reset, and a client that is busy sending then fails before
 * it reads the reply. So over HTTP/1.1 the connection ends after such a reply, but in two steps: our half is closed
 * first and a bounded part of the body is taken in and dropped. HTTP/2 has words for it.
 */
export function guardReply(
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
  limits: ServerLimits,
): void {
  if ("stream" in response) {
    guardHttp2(response.stream);
  } else if (!("stream" in request) && hasBody(request)) {
    guardHttp1(request, response, limits);
  }
}

/** Resets the stream once the reply's last frame is on its way: no sooner, since a reset drops what is not framed yet. */
function guardHttp2(stream: ServerHttp2Stream): void {
  const resetUnread = () => {
    if (!stream.readableEnded) {
      stream.close(constants.NGHTTP2_NO_ERROR);
    }
  };
  // Node says this when all data is framed; the trailers, which bear the end of the stream, follow before the immediate.
  stream.once("wantTrailers", () => setImmediate(resetUnread));
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

function guardHttp1(request: IncomingMessage, response: ServerResponse, limits: ServerLimits): void {
  const { socket } = request;
  const isKeptAlive = response.shouldKeepAlive;
  response.shouldKeepAlive = false;
  request.once("end", () => {
    response.shouldKeepAlive = isKeptAlive;
  });
  response.prependOnceListener("finish", () => {
    if (!request.complete) {
      dropBody(request, limits.lingerBytesMax);
    }
  });
  // By this method Node ends a connection after its last reply. The socket's next request with a body replaces it again.
  socket.destroySoon = () => {
    if (request.complete) {
      Socket.prototype.destroySoon.call(socket);
      return;
    }
    socket.end();
    const timer = setTimeout(() => socket.destroy(), limits.lingerMs);
    socket.once("close", () => clearTimeout(timer));
    request.once("end", () => Socket.prototype.destroySoon.call(socket));
  };
}

/**
 * Reads on until the limit, then stops: the client's sending comes to a halt while it may still read the reply. A body
 * that nobody has begun to read by the end of the reply is read by Node, without a limit.
 */
function dropBody(request: IncomingMessage, bytesMax: number): void {
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      request.pause();
    }
  });
  request.resume();
}
