import type { Duplex } from "node:stream";
import { newId } from "../../domain/id.ts";
import { reasons } from "../../domain/reason.ts";
import type { RequestError } from "../../domain/request-error.ts";
import { errorReply } from "../../gateway/error-envelope.ts";

/** Writes an error response to a socket of HTTP/1.1 for which Node has no request, and closes it. */
export function writeRawResponse(error: RequestError, socket: Duplex, lingerMs: number): void {
  const requestId = newId();
  const call = {
    requestId,
    protocol: "rest",
    headers: new Map<string, readonly string[]>(),
    signal: AbortSignal.abort(),
    replyHeaders: new Map<string, string>(),
  } as const;
  const { body, headers } = errorReply(error, call);
  const head = [
    `HTTP/1.1 ${reasons[error.reason].status} ${error.reason}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  // Lingering close: if the socket closed at once, a client that is still sending would be reset and lose the response.
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once("close", () => clearTimeout(timer));
}
