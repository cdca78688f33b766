import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { RequestError } from "../../domain/request-error.ts";
import type { ServerLimits } from "../limits/server-limits.ts";
import type { ReceiveRequest } from "../requests/http-exchange.ts";

type PipeliningOptions = {
  /** The number of requests on the connection without a complete response, this one included. */
  readonly pending: number;
  readonly limits: Pick<ServerLimits, "requestsAheadMax">;
  readonly receive: ReceiveRequest;
};

/**
 * Limits HTTP/1.1 pipelining (RFC 9112, 9.3.2): requests that a client sends before the first one is answered. The first
 * request above the limit is refused and closes the connection. Further ones get no response, and a client that sends
 * twice the limit is disconnected at once.
 */
export function receivePipelined(
  request: IncomingMessage,
  response: ServerResponse,
  { pending, limits, receive }: PipeliningOptions,
): void {
  const { requestsAheadMax } = limits;
  const excess = pending - requestsAheadMax;
  if (excess <= 0) {
    receive(request, response);
  } else if (excess === 1) {
    response.setHeader("connection", "close");
    receive(request, response, tooManyPipelined(requestsAheadMax));
  } else if (excess > requestsAheadMax) {
    pauseParser(request.socket);
    request.socket.destroy();
  }
}

/**
 * Makes Node's parser stop with the error HPE_PAUSED. Otherwise it parses every request of the received chunk. Each of
 * them costs as much as a small response, and as much again when the connection closes (`abortIncoming`).
 */
function pauseParser(socket: Socket): void {
  // An undocumented property of Node. Without it the requests are parsed and then dropped.
  const { parser } = socket as Socket & { readonly parser?: { pause?: () => void } | null };
  parser?.pause?.();
}

function tooManyPipelined(max: number): RequestError {
  const message = `More than ${max} requests were sent ahead on this connection; wait for replies, or use more connections.`;
  return new RequestError("TOO_MANY_REQUESTS", message, {
    metadata: { limit: "requests_ahead", value: String(max) },
    retryAfterSeconds: 1,
  });
}
