import type { Duplex } from "node:stream";
import { RequestError } from "../../domain/request-error.ts";
import { replyBare } from "./raw-response.ts";

/**
 * Ends a connection of HTTP/1.1 that waits for its next request. A request may be on its way all the same, and whoever
 * sent it could not tell a connection that just ends from one that breaks while the request is served: a proxy answers
 * 502, since it may not send a POST again. So the end of the connection is the answer to that request, and nothing that
 * comes on it from now on may be served. A client without a request takes what it did not ask for as the end.
 */
export function sayFarewell(socket: Duplex, lingerMs: number): void {
  if (socket.writable) replyBare(shuttingDown(), socket, lingerMs);
}

export function shuttingDown(): RequestError {
  return new RequestError("SHUTTING_DOWN", "The server is stopping; try again.", { retryAfterSeconds: 1 });
}
