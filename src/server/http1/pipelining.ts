import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { RequestError } from "../../domain/request-error.ts";
import type { ListenerOptions } from "../listener.ts";

/**
 * Serves a request of HTTP/1.1 unless too many that were sent before it on its connection are unanswered. The first that
 * is one too many is refused, and ends the connection; those behind it are not answered, and whoever has sent as many
 * again is cut at once, before any reply is written.
 */
export function receiveInTurn(
  request: IncomingMessage,
  response: ServerResponse,
  { unanswered, limits, receive }: Pick<ListenerOptions, "limits" | "receive"> & { readonly unanswered: number },
): void {
  const tooMany = unanswered - limits.requestsAheadMax;
  if (tooMany <= 0) receive(request, response);
  else if (tooMany === 1) {
    response.setHeader("connection", "close");
    receive(request, response, tooManyAhead(limits.requestsAheadMax));
  } else if (tooMany > limits.requestsAheadMax) {
    stopParser(request.socket);
    request.socket.destroy();
  }
}

/**
 * Makes Node's parser stop with the error HPE_PAUSED. Otherwise it reads all requests that came in one chunk, and each of
 * them costs as much as a small reply; and as much again when the connection closes (`abortIncoming`).
 */
function stopParser(socket: Socket): void {
  // A property that Node does not document. A Node without it reads the requests, and they are dropped.
  const { parser } = socket as Socket & { readonly parser?: { pause?: () => void } | null };
  parser?.pause?.();
}

function tooManyAhead(max: number): RequestError {
  const message = `More than ${max} requests were sent ahead on this connection; wait for replies, or use more connections.`;
  return new RequestError("TOO_MANY_REQUESTS", message, {
    metadata: { limit: "requests_ahead", value: String(max) },
    retryAfterSeconds: 1,
  });
}
