import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type ServerHttp2Stream } from "node:http2";
import { Socket } from "node:net";
import type { HttpExchange } from "../../domain/http/protocol-handler.ts";
import type { ServerLimits } from "../limits/server-limits.ts";

type LingerLimits = Pick<ServerLimits, "lingerBytesMax" | "lingerMs">;

/**
 * Lingering close (RFC 9112, 9.6): delivers the reply to a client that is still sending a body which nobody reads. It is
 * called before a reply is written to a request whose body is not complete.
 *
 * Closing a socket with unread bytes sends a TCP reset, and a client that is busy sending then fails before it reads the
 * reply. So the connection of HTTP/1.1 closes in two steps: first our half, while a limited part of the body is read and
 * dropped. HTTP/2 resets the stream with NO_ERROR (RFC 9113, 8.1).
 */
export function closeLingering({ request, response }: HttpExchange, limits: LingerLimits): void {
  if ("stream" in response) {
    // Node emits this when all data of the reply is framed.
    response.stream.once("wantTrailers", resetIfUnread);
  } else if (!("stream" in request)) {
    closeInTwoSteps(request, response, limits);
  }
}

/**
 * Resets the stream after the last frame of the reply: a reset drops what Node has not framed yet. The trailers, which carry
 * END_STREAM, follow before the immediate.
 */
function resetIfUnread(this: ServerHttp2Stream): void {
  if (!this.readableEnded) {
    setImmediate(resetUnread, this);
  }
}

function resetUnread(stream: ServerHttp2Stream): void {
  if (!stream.readableEnded) {
    stream.close(constants.NGHTTP2_NO_ERROR);
  }
}

function closeInTwoSteps(request: IncomingMessage, response: ServerResponse, limits: LingerLimits): void {
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
  // Node calls this method to end a connection after its last reply. The next request with a body replaces it again.
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
 * Reads up to the limit and then pauses: TCP flow control stops the client's sending while it can still read the reply.
 * Without this, Node reads a body that nobody has asked for, without a limit.
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
