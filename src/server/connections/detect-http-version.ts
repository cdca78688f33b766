import type { Socket } from "node:net";

export type HttpVersion = "http1" | "http2";

export type SniffOptions = {
  readonly timeoutMs: number;
  /** How much of what it sends is kept for a connection that waits for its turn. */
  readonly bytesMax: number;
  /** When a connection may go on that has told which HTTP it speaks; undefined: at once. */
  readonly turn: () => Promise<void> | undefined;
  /** @param bytes what it has sent, which is back in the socket as one piece */
  readonly found: (version: HttpVersion, bytes: Buffer) => void;
};

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/**
 * Calls `found` when the first bytes of a connection tell which HTTP it speaks, and it is its turn. The bytes are back in
 * the socket by then, and the socket is paused. A connection that does not tell in time, or that ends before, is destroyed.
 */
export function sniffHttpVersion(socket: Socket, { timeoutMs, bytesMax, turn, found }: SniffOptions): void {
  let seen: Buffer = Buffer.alloc(0);
  let isLooking = true;
  let version: HttpVersion | undefined;

  const destroy = () => socket.destroy();
  const read = (chunk: Buffer) => {
    seen = Buffer.concat([seen, chunk]);
    if (version !== undefined) {
      keepWaiting();
      return;
    }
    const length = Math.min(seen.length, preface.length);
    const isPreface = seen.subarray(0, length).equals(preface.subarray(0, length));
    if (isPreface && length < preface.length) return;
    version = isPreface ? "http2" : "http1";
    clearTimeout(timer);
    const waiting = turn();
    if (waiting === undefined) {
      goOn(version);
      return;
    }
    const told = version;
    void waiting.then(() => isLooking && goOn(told));
    keepWaiting();
  };
  const keepWaiting = () => {
    if (seen.length > bytesMax) destroy();
  };
  const goOn = (told: HttpVersion) => {
    leave();
    socket.pause();
    socket.unshift(seen);
    found(told, seen);
  };
  const leave = () => {
    isLooking = false;
    clearTimeout(timer);
    socket.off("data", read).off("end", destroy).off("close", leave);
  };

  // One timer for all the bytes: a limit on silence alone is passed by a client that sends them one by one.
  // Behind what has arrived: in a busy process the timer comes first, and the bytes may lie there unread.
  const timer = setTimeout(() => setImmediate(() => isLooking && version === undefined && destroy()), timeoutMs);
  socket.on("data", read).once("end", destroy).once("close", leave);
}
