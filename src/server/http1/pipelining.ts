import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { RequestError } from "../../domain/request-error.ts";
import type { Connection } from "../connections/address-connections.ts";
import type { ServerLimits } from "../limits/server-limits.ts";
import { Exchange, type ExchangeOptions, type RequestReceiver } from "../requests/http-exchange.ts";

type PipeliningOptions = {
  readonly limits: Pick<ServerLimits, "requestsAheadMax">;
  readonly receiver: RequestReceiver;
  readonly exchange: ExchangeOptions;
};

type Pipelined = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly connection: Connection;
};

/**
 * Limits HTTP/1.1 pipelining (RFC 9112, 9.3.2): requests that a client sends before the first one is answered. The first
 * request above the limit is refused and closes the connection. Further ones get no response, and a client that sends
 * twice the limit is disconnected at once.
 */
export function refusePipelined(pipelined: Pipelined, { limits, receiver, exchange }: PipeliningOptions): void {
  const { requestsAheadMax } = limits;
  const { request, response, connection } = pipelined;
  const excess = connection.pending.size - requestsAheadMax;
  if (excess === 1) {
    response.setHeader("connection", "close");
    receiver.receive(new Exchange({ ...pipelined, error: tooManyPipelined(requestsAheadMax) }, exchange));
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
