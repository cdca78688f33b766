import type { Socket } from "node:net";

export type HttpVersion = "http1" | "http2";

/**
 * Calls `found` as soon as the first bytes of a connection tell which HTTP it speaks. The bytes are back in the socket
 * by then, and the socket is paused. A connection that does not tell in time, or that ends before, is destroyed.
 */
export function sniffHttpVersion(socket: Socket, timeoutMs: number, found: (version: HttpVersion) => void): void {
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  let seen: Buffer = Buffer.alloc(0);
  let isLooking = true;

  const destroy = () => socket.destroy();
  const read = (chunk: Buffer) => {
    seen = Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, preface.length);
    const isPreface = seen.subarray(0, length).equals(preface.subarray(0, length));
    if (isPreface && length < preface.length) {
      return;
    }
    leave();
    socket.pause();
    socket.unshift(seen);
    found(isPreface ? "http2" : "http1");
  };
  const leave = () => {
    isLooking = false;
    clearTimeout(timer);
    socket.off("data", read).off("end", destroy).off("close", leave);
  };

  // One timer for all the bytes: a limit on silence alone is passed by a client that sends them one by one.
  // Behind what has arrived: in a busy process the timer comes first, and the bytes may lie there unread.
  const timer = setTimeout(() => setImmediate(() => isLooking && destroy()), timeoutMs);
  socket.on("data", read).once("end", destroy).once("close", leave);
}
