import type { Duplex } from "node:stream";
import { newId } from "../../domain/id.ts";
import { reasons } from "../../domain/reason.ts";
import type { RequestError } from "../../domain/request-error.ts";
import { errorReply } from "../../gateway/error-envelope.ts";

/** Writes a refusal to a connection of HTTP/1.1 that has no request to answer, and ends it. */
export function replyBare(refusal: RequestError, socket: Duplex, lingerMs: number): void {
  const requestId = newId();
  const call = {
    requestId,
    protocol: "rest",
    headers: new Map<string, readonly string[]>(),
    signal: AbortSignal.abort(),
    replyHeaders: new Map<string, string>(),
  } as const;
  const { body, headers } = errorReply(refusal, call);
  const head = [
    `HTTP/1.1 ${reasons[refusal.reason].status} ${refusal.reason}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  // A client that goes on sending would be reset, and lose the reply, if the socket closed at once.
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once("close", () => clearTimeout(timer));
}
