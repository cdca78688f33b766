import type { Duplex } from "node:stream";
import { RequestError } from "../../domain/request-error.ts";
import { writeRawResponse } from "./raw-response.ts";

/**
 * Closes an idle keep-alive connection. A request may already be in flight on it. If the server only sent FIN, the client
 * could not tell whether its request was started, and a proxy answers 502 because it may not retry a POST. So the server
 * sends a 503 with `connection: close`: a client with a request in flight takes it as the answer, and one without ignores
 * it. Requests that arrive on the connection after this must not be served.
 */
export function closeIdleConnection(socket: Duplex, lingerMs: number): void {
  if (socket.writable) {
    writeRawResponse(shuttingDown(), socket, lingerMs);
  }
}

export function shuttingDown(): RequestError {
  return RequestError.of("SHUTTING_DOWN", { retryAfterSeconds: 1 });
}
