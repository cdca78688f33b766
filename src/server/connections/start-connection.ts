import type { Socket } from "node:net";
import type { ServerLimits } from "../limits/server-limits.ts";
import { detectHttpVersion, type HttpVersion } from "./detect-http-version.ts";
import type { NewConnectionQueue } from "./new-connection-queue.ts";

export type StartOptions = {
  readonly limits: Pick<ServerLimits, "firstBytesMs" | "headerBytesMax">;
  readonly queue: NewConnectionQueue;
  /** Settles when an address that exceeded its limit of refusals may start a connection; undefined: at once. */
  readonly penaltyOf: (address: string) => Promise<void> | undefined;
  /** Hands the paused socket to the server of its HTTP version. */
  readonly serve: (version: HttpVersion) => void;
};

/**
 * Detects the HTTP version of a new connection, and starts it when `queue` lets it. A connection of an address that
 * exceeded its limit of refusals waits once more, before its version is detected or behind that.
 */
export function startConnection(socket: Socket, address: string, options: StartOptions): void {
  const { limits, penaltyOf, queue, serve } = options;
  const { firstBytesMs: timeoutMs, headerBytesMax: bytesMax } = limits;
  const onDetected = (version: HttpVersion, bytes: Buffer) => {
    const start = () => {
      if (socket.destroyed) {
        return;
      }
      if (socket.readableLength > bytes.length) {
        joinChunks(socket);
      }
      serve(version);
    };
    const turn = queue.take(address, countRequests(version, bytes));
    if (turn === undefined) {
      start();
    } else {
      void turn.then(start);
    }
  };
  const detect = (admission: () => Promise<void> | undefined) =>
    detectHttpVersion(socket, { timeoutMs, bytesMax, admission, onDetected });
  const penalty = penaltyOf(address);
  // Of many connections that arrive together, the first ones may exceed the limit while the others are being detected.
  if (penalty === undefined) {
    detect(() => penaltyOf(address));
  } else {
    void penalty.then(() => !socket.destroyed && detect(() => undefined));
  }
}

/**
 * Merges the chunks that a paused socket buffers. Node hands them to an HTTP/2 session one by one, and the process
 * crashes if an earlier chunk has ended the session (`Http2Session`, "emulate receiving it"). Call it only if there are
 * several: `read()` makes the socket flow again, and in the middle of a read that is undone at once.
 */
function joinChunks(socket: Socket): void {
  socket.unshift(socket.read(socket.readableLength));
}

const prefaceBytes = 24;
const frameHeaderBytes = 9;
const headersType = 1;

/** The end of a request's header section with the method of another request behind it (RFC 9112, 9.3.2). */
const pipelinedRequest = /\r\n\r\n[A-Z]+ /g;

/**
 * Counts the requests in the first bytes of a connection, at least one: Node reads all of them in one iteration of the
 * event loop. Over HTTP/2 each HEADERS frame is one (RFC 9113, 4.1).
 */
function countRequests(version: HttpVersion, bytes: Buffer): number {
  if (version === "http1") {
    return 1 + (bytes.toString("latin1").match(pipelinedRequest)?.length ?? 0);
  }
  let count = 0;
  for (let at = prefaceBytes; at + frameHeaderBytes <= bytes.length; ) {
    if (bytes[at + 3] === headersType) {
      count += 1;
    }
    at += frameHeaderBytes + bytes.readUIntBE(at, 3);
  }
  return Math.max(1, count);
}
